//! What stands between the quotes of a string that was checked.

use super::check::unit_of;
use super::text::JsonText;

/// The text that a string means.
pub(super) fn decode(content: &str) -> JsonText {
    if !content.contains('\\') {
        return content.into();
    }
    let mut whole = String::with_capacity(content.len());
    for piece in Pieces(content) {
        match piece {
            Piece::Run(run) => whole.push_str(run),
            Piece::Unit(unit) => match char::from_u32(u32::from(unit)) {
                Some(character) => whole.push(character),
                None => return JsonText::from_utf16(units(content)),
            },
        }
    }
    whole.into()
}

/// The units of a text that has surrogates, in pairs or alone.
fn units(content: &str) -> Vec<u16> {
    let mut units = Vec::with_capacity(content.len());
    for piece in Pieces(content) {
        match piece {
            Piece::Run(run) => units.extend(run.encode_utf16()),
            Piece::Unit(unit) => units.push(unit),
        }
    }
    units
}

enum Piece<'text> {
    /// Characters that mean themselves.
    Run(&'text str),
    /// What an escape means.
    Unit(u16),
}

/// What is left of a string.
struct Pieces<'text>(&'text str);

impl<'text> Iterator for Pieces<'text> {
    type Item = Piece<'text>;

    fn next(&mut self) -> Option<Piece<'text>> {
        let Some(escape) = self.0.strip_prefix('\\') else {
            let (run, rest) = self.0.split_at(self.0.find('\\').unwrap_or(self.0.len()));
            self.0 = rest;
            return (!run.is_empty()).then_some(Piece::Run(run));
        };
        let mut characters = escape.chars();
        let unit = match characters.next()? {
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'u' => {
                let (digits, rest) = characters.as_str().split_at_checked(4)?;
                characters = rest.chars();
                unit_of(*digits.as_bytes().first_chunk()?)?
            }
            same => u16::try_from(u32::from(same)).ok()?,
        };
        self.0 = characters.as_str();
        Some(Piece::Unit(unit))
    }
}
