//! Writing XML: the only language in which QloApps takes anything but bookings.

/// A document of one element, ready to send.
pub(super) struct Xml(String);

impl Xml {
    /// A document whose root holds what `fill` writes.
    pub(super) fn document(fill: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
        xml.element("qloapps", fill);
        xml.0
    }

    /// An element that holds other elements. Names are ours or were checked with [`is_name`].
    pub(super) fn element(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
        fill(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element that holds a text.
    pub(super) fn value(&mut self, name: &str, text: &str) {
        self.element(name, |xml| xml.text(text));
    }

    fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                // XML cannot carry these at all, not even escaped.
                c if !is_allowed(c) => {}
                c => self.0.push(c),
            }
        }
    }
}

/// Whether a text that came from a server can be the name of an element.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_their_element() {
        let document = Xml::document(|xml| xml.value("comment", "a < b & </comment>\0]]>"));
        assert!(
            document.ends_with("<qloapps><comment>a &lt; b &amp; &lt;/comment&gt;]]&gt;</comment></qloapps>")
        );
    }

    #[test]
    fn only_plain_names_become_elements() {
        assert!(is_name("id_room") && is_name("address1"));
        assert!(!is_name("") && !is_name("1a") && !is_name("a b") && !is_name("xlink:href"));
    }
}
