//! The order of a request, after its parts were done in another one.

/// Sorts results by their place in the request.
pub(super) fn in_place<T>(placed: impl Iterator<Item = (usize, T)>) -> Vec<T> {
    let mut placed: Vec<_> = placed.collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, one)| one).collect()
}
