//! The query of a request: filters, fields and order, with every value escaped.

use std::fmt::{Display, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything that could end a value or mean something in a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// What is asked about a resource. Answers are JSON, always.
#[derive(Debug, Clone)]
pub(super) struct Query(String);

impl Query {
    /// A question without conditions.
    pub(super) fn new() -> Self {
        Self(String::from("output_format=JSON"))
    }

    /// Every field of every object. Never for a single object by id: that answers its id alone.
    pub(super) fn full() -> Self {
        Self::new().pair("display", "full")
    }

    /// The objects whose field has exactly this value.
    pub(super) fn equal(self, field: &str, value: impl Display) -> Self {
        self.filter(field, &format!("[{value}]"))
    }

    /// The objects whose field has one of these values. Without a value there is no condition, so do not ask then.
    pub(super) fn any_of(self, field: &str, values: impl IntoIterator<Item = impl Display>) -> Self {
        let mut list = String::from("[");
        for (place, value) in values.into_iter().enumerate() {
            if place > 0 {
                list.push('|');
            }
            let _ = write!(list, "{value}");
        }
        list.push(']');
        self.filter(field, &list)
    }

    /// The objects whose field is smaller.
    pub(super) fn below(self, field: &str, value: impl Display) -> Self {
        self.filter(field, &format!("<[{value}]"))
    }

    /// The objects whose field is larger.
    pub(super) fn above(self, field: &str, value: impl Display) -> Self {
        self.filter(field, &format!(">[{value}]"))
    }

    /// The objects whose field lies between two values, both included.
    pub(super) fn between(self, field: &str, from: impl Display, to: impl Display) -> Self {
        self.filter(field, &format!("[{from},{to}]"))
    }

    /// Lets conditions and order name the times of writing, which the web service allows only when it is told to.
    pub(super) fn dated(self) -> Self {
        self.pair("date", "1")
    }

    /// The order, such as `[id_ASC]`.
    pub(super) fn sorted(self, order: &str) -> Self {
        self.pair("sort", order)
    }

    /// At most this number of objects.
    pub(super) fn limited(self, most: usize) -> Self {
        self.pair("limit", &most.to_string())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn filter(self, field: &str, condition: &str) -> Self {
        self.pair(&format!("filter[{field}]"), condition)
    }

    fn pair(mut self, name: &str, value: &str) -> Self {
        let name = utf8_percent_encode(name, ESCAPED);
        let value = utf8_percent_encode(value, ESCAPED);
        let _ = write!(self.0, "&{name}={value}");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_filter() {
        let query = Query::new().equal("email", "a&b=c#d]@example.com");
        assert_eq!(
            query.as_str(),
            "output_format=JSON&filter%5Bemail%5D=%5Ba%26b%3Dc%23d%5D%40example.com%5D"
        );
    }

    #[test]
    fn lists_and_bounds_are_written_as_the_web_service_reads_them() {
        let query = Query::full()
            .any_of("id", [1, 2])
            .below("date_from", "2027-04-03");
        assert_eq!(
            query.as_str(),
            "output_format=JSON&display=full&filter%5Bid%5D=%5B1%7C2%5D\
             &filter%5Bdate_from%5D=%3C%5B2027-04-03%5D"
        );
    }
}
