//! Under which name a request is counted: the path of its route with the names of its parameters, never their values.

use axum::extract::MatchedPath;
use axum::http::Extensions;

/// The name of requests of no route.
const OTHER: &str = "other";

/// The name of a request, such as `/guests/{guest}`; in a nested router the whole route.
pub(crate) fn of_route(extensions: &Extensions) -> &str {
    extensions.get::<MatchedPath>().map_or(OTHER, MatchedPath::as_str)
}

/// The names of the parameters of a route, each with the part of the path in front of it.
pub(crate) fn parameters(route: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = route.split('/');
    parts.clone().zip(parts.skip(1)).filter_map(|(before, part)| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some((before, name.strip_prefix('*').unwrap_or(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_behind_something() {
        let found: Vec<_> = parameters("/hotels/{id}/files/{*path}").collect();
        assert_eq!(found, [("hotels", "id"), ("files", "path")]);
        assert_eq!(parameters("/health/live").count(), 0);
    }
}
