//! Tables for people: a line of names, a line for each thing, columns that stand below each other.

use comfy_table::presets::NOTHING;

/// A table as text; `none` when there is nothing to show.
pub(crate) fn table<const COLUMNS: usize>(
    names: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
    none: &str,
) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(NOTHING).set_header(names.map(str::to_uppercase));
    for row in rows {
        table.add_row(row);
    }
    if table.is_empty() {
        return none.to_owned();
    }
    let lines = table
        .lines()
        .map(|line| line.trim_end().strip_prefix(' ').unwrap_or_default().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// A value that may be missing.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A moment, to the second.
pub(crate) fn moment(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The same for programs.
pub(crate) fn rfc3339(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_nothing_is_said_in_words() {
        let rows = [["hotel-mirador", "active"], ["sol", "suspended"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            table(["tenant", "status"], rows, "none"),
            "TENANT         STATUS\nhotel-mirador  active\nsol            suspended"
        );
        assert_eq!(
            table(["tenant"], [], "There are no tenants."),
            "There are no tenants."
        );
    }
}
