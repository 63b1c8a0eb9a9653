//! How what Redis answers becomes the next view, and what is too implausible to believe.
//!
//! A server that lost its data answers "no flags" with the same face as one where somebody unset them all.
//! Believing it would switch every flag of every hotel to its default in one moment. So a field that is gone is
//! believed only if somebody says so: a notice names it, or posada's version counter moved far enough since the
//! last load to account for it, or a minority of a larger hash went (a person editing Redis by hand). Otherwise
//! the field stays, marked as lost, until it is written again, unset through posada, or adopted by an operator.
//! Fields that are there are always believed, so that a switch thrown in the middle of an incident works.

use std::collections::HashSet;
use std::sync::Arc;

use super::store::{RawFlags, RawLayer};
use super::view::{Entry, Layer, Map, Overrides, View};
use crate::tenants::TenantId;

/// A flag in a layer: whose override, or the global one.
pub(super) type Place = (Option<TenantId>, Arc<str>);

/// From this size on, a hash that loses more than half of its fields is suspicious; a smaller one only when it
/// loses all.
const SUSPICIOUS_SIZE: usize = 4;

/// What is known besides the answer itself.
pub(super) struct Judgement<'a> {
    /// Removals that notices named since the last load.
    pub(super) explained: &'a HashSet<Place>,
    /// How many removals the version counter can account for.
    pub(super) budget: u64,
    /// Believe everything.
    pub(super) trust: bool,
    /// Whether the answer covers every tenant that should be followed.
    pub(super) complete: bool,
}

/// The next view.
pub(super) struct Adopted {
    pub(super) view: View,
    /// What differs from the view before.
    pub(super) changed: Vec<Place>,
    /// How many fields are kept although Redis does not have them.
    pub(super) lost: usize,
    /// How many of those were there at the load before.
    pub(super) newly_lost: usize,
}

/// Makes the next view.
pub(super) fn adopt(previous: &View, raw: &RawFlags, judgement: &Judgement<'_>) -> Adopted {
    let mut merge = Merge {
        judgement,
        budget: judgement.budget,
        changed: Vec::new(),
        newly_lost: 0,
    };
    let global = merge.layer(None, &previous.global, &raw.global);
    let mut tenants = if judgement.complete {
        Map::default()
    } else {
        previous.tenants.clone()
    };
    let nothing = Arc::new(Layer::default());
    for (tenant, layer) in &raw.tenants {
        let before = previous.tenants.get(tenant);
        let flags = merge.layer(
            Some(tenant),
            before.map_or(&nothing, |before| &before.flags),
            layer,
        );
        let overrides = match before {
            Some(before) if Arc::ptr_eq(&before.flags, &flags) => before.clone(),
            _ => Arc::new(Overrides {
                flags,
                asked: true.into(),
            }),
        };
        tenants.insert(tenant.clone(), overrides);
    }
    let view = View {
        global,
        tenants,
        defaults: previous.defaults.clone(),
    };
    let lost = std::iter::once(&view.global)
        .chain(view.tenants.values().map(|overrides| &overrides.flags))
        .flat_map(|layer| layer.values())
        .filter(|entry| entry.lost)
        .count();
    Adopted {
        view,
        changed: merge.changed,
        lost,
        newly_lost: merge.newly_lost,
    }
}

struct Merge<'a> {
    judgement: &'a Judgement<'a>,
    budget: u64,
    changed: Vec<Place>,
    newly_lost: usize,
}

impl Merge<'_> {
    fn layer(&mut self, tenant: Option<&TenantId>, before: &Arc<Layer>, raw: &RawLayer) -> Arc<Layer> {
        if is_same(before, raw) {
            return before.clone();
        }
        let mut after = Layer::default();
        for (flag, text) in raw {
            let known = before.get_key_value(flag.as_str());
            let name: Arc<str> = known.map_or_else(|| flag.as_str().into(), |(name, _)| name.clone());
            let entry = match known {
                Some((_, entry)) if *entry.raw == **text => Entry {
                    lost: false,
                    ..entry.clone()
                },
                _ => {
                    self.changed.push((tenant.cloned(), name.clone()));
                    Entry::read(flag, text, known.map(|(_, entry)| entry))
                }
            };
            after.insert(name, entry);
        }
        let trust = self.judgement.trust;
        let unexplained: Vec<(&Arc<str>, &Entry)> = before
            .iter()
            .filter(|(flag, _)| !raw.contains_key(&***flag))
            .filter(|(flag, _)| {
                let place = (tenant.cloned(), (*flag).clone());
                let gone = trust || self.judgement.explained.contains(&place);
                if gone {
                    self.changed.push(place);
                }
                !gone
            })
            .collect();
        let newly_lost = unexplained.iter().filter(|(_, entry)| !entry.lost).count();
        let implausible = is_implausible(before.len(), newly_lost, raw.is_empty(), self.budget);
        if implausible {
            self.newly_lost += newly_lost;
        } else {
            self.budget = self.budget.saturating_sub(newly_lost as u64);
        }
        for (flag, entry) in unexplained {
            // What was lost before stays lost, however the rest of the hash recovers.
            if implausible || entry.lost {
                let entry = Entry {
                    lost: true,
                    ..entry.clone()
                };
                after.insert(flag.clone(), entry);
            } else {
                self.changed.push((tenant.cloned(), flag.clone()));
            }
        }
        Arc::new(after)
    }
}

fn is_implausible(before: usize, newly_lost: usize, is_empty: bool, budget: u64) -> bool {
    let suspicious = is_empty || (before >= SUSPICIOUS_SIZE && newly_lost * 2 > before);
    newly_lost > 0 && newly_lost as u64 > budget && suspicious
}

fn is_same(layer: &Layer, raw: &RawLayer) -> bool {
    layer.len() == raw.len()
        && raw.iter().all(|(flag, text)| {
            layer
                .get(flag.as_str())
                .is_some_and(|entry| !entry.lost && *entry.raw == **text)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

    fn raw(flags: &[&str]) -> RawFlags {
        RawFlags {
            global: flags
                .iter()
                .map(|flag| ((*flag).to_owned(), "1".to_owned()))
                .collect(),
            ..RawFlags::default()
        }
    }

    fn judged(previous: &View, flags: &[&str], explained: &[&str], budget: u64) -> Adopted {
        let explained = explained.iter().map(|flag| (None, (*flag).into())).collect();
        let judgement = Judgement {
            explained: &explained,
            budget,
            trust: false,
            complete: true,
        };
        adopt(previous, &raw(flags), &judgement)
    }

    fn view(flags: &[&str]) -> View {
        judged(&View::default(), flags, &[], 0).view
    }

    fn kept(adopted: &Adopted) -> usize {
        adopted.view.global.len()
    }

    #[test]
    fn a_vanished_hash_is_kept_and_marked() {
        for flags in [&FLAGS[..1], &FLAGS[..]] {
            let adopted = judged(&view(flags), &[], &[], 0);
            assert_eq!((kept(&adopted), adopted.lost), (flags.len(), flags.len()));
            assert!(adopted.changed.is_empty());
        }
    }

    #[test]
    fn more_than_half_of_a_hash_of_four_is_kept_and_half_is_believed() {
        assert_eq!(judged(&view(&FLAGS[..4]), &FLAGS[..1], &[], 0).lost, 3);
        let believed = judged(&view(&FLAGS[..4]), &FLAGS[..2], &[], 0);
        assert_eq!((believed.lost, kept(&believed)), (0, 2));
        let small = judged(&view(&FLAGS[..3]), &FLAGS[..1], &[], 0);
        assert_eq!((small.lost, kept(&small)), (0, 1));
    }

    #[test]
    fn removals_that_notices_or_the_version_account_for_are_believed() {
        assert_eq!(kept(&judged(&view(&["a", "b"]), &[], &["a", "b"], 0)), 0);
        assert_eq!(kept(&judged(&view(&["a", "b"]), &[], &[], 2)), 0);
        assert_eq!(judged(&view(&["a", "b"]), &[], &[], 1).lost, 2);
    }

    #[test]
    fn what_redis_has_is_believed_even_when_the_rest_was_lost() {
        let mut answer = raw(&[]);
        answer.global.insert("a".to_owned(), "0".to_owned());
        let explained = HashSet::new();
        let judgement = Judgement {
            explained: &explained,
            budget: 1,
            trust: false,
            complete: true,
        };
        let adopted = adopt(&view(&FLAGS), &answer, &judgement);
        assert_eq!((kept(&adopted), adopted.lost), (6, 5));
        assert!(!adopted.view.global["a"].is_switched_on());
        assert_eq!(adopted.changed, [(None, "a".into())]);
    }

    #[test]
    fn lost_flags_stay_lost_while_the_others_come_back() {
        let empty = judged(&view(&FLAGS), &[], &[], 0);
        let partly = judged(&empty.view, &FLAGS[..5], &[], 5);
        assert_eq!((partly.lost, partly.newly_lost), (1, 0));
        assert_eq!(judged(&partly.view, &FLAGS, &[], 1).lost, 0);
    }

    #[test]
    fn trust_believes_everything() {
        let judgement = Judgement {
            explained: &HashSet::new(),
            budget: 0,
            trust: true,
            complete: true,
        };
        let adopted = adopt(&view(&FLAGS), &raw(&[]), &judgement);
        assert_eq!((kept(&adopted), adopted.changed.len()), (0, 6));
    }

    #[test]
    fn an_unchanged_hash_is_shared_and_not_compiled_again() {
        let before = view(&FLAGS);
        let after = judged(&before, &FLAGS, &[], 0);
        assert!(Arc::ptr_eq(&before.global, &after.view.global));
    }

    #[test]
    fn an_unusable_definition_keeps_the_last_good_one() {
        let mut answer = raw(&["a"]);
        answer
            .global
            .insert("rich".to_owned(), r#"{"enabled":true}"#.to_owned());
        let explained = HashSet::new();
        let judgement = Judgement {
            explained: &explained,
            budget: 0,
            trust: false,
            complete: true,
        };
        let good = adopt(&View::default(), &answer, &judgement).view;
        answer.global.insert("rich".to_owned(), "{oops".to_owned());
        let entry = adopt(&good, &answer, &judgement).view.global["rich"].clone();
        assert!(entry.is_switched_on());
        assert!(entry.error.unwrap().contains("not JSON"));
    }
}
