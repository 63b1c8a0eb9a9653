//! How what Redis answers becomes the next view, and what is too implausible to believe.
//!
//! There are two ways to lose data: to start empty, and to start from an older state.
//!
//! A server that lost its data answers "no flags" with the same face as one where they were all unset.
//! Believing it would switch every flag of every hotel to its default in one moment. So a field that is gone is
//! believed only if there is evidence: a notice names it, or posada's version counter moved far enough since the
//! last load to account for it, or a minority of a larger hash went (a person editing Redis by hand). Otherwise
//! the field stays, marked as lost, until it is written again, unset through posada, or adopted by an operator.
//! Fields that are there are believed, so that a switch thrown in the middle of an incident works.
//!
//! A server that went back in time ([`History`](super::history::History) notices it) has fields too, and older ones.
//! Once, when that is noticed, every field stays as this process knew it, marked as lost where Redis says something
//! else: also a value that changed since, and a field that was unset since and is there again. Only what the log of
//! the store shows to have been written after its fall is believed. From then on whatever differs from what Redis had
//! at that moment was written later and is believed as ever.

use std::collections::HashSet;
use std::sync::Arc;

use super::store::{RawFlags, RawLayer};
use super::view::{Entry, FlagKey, Layer, Map, Overrides, View};
use crate::tenants::TenantId;

/// From this size on, a hash that loses more than half of its fields is suspicious; a smaller one only when it
/// loses all.
const SUSPICIOUS_SIZE: usize = 4;

/// What is known besides the answer itself.
pub(super) struct Evidence<'a> {
    /// Removals that notices named since the last load.
    pub(super) explained: &'a HashSet<FlagKey>,
    /// How many removals the version counter can account for.
    pub(super) budget: u64,
    /// Whether the answer is older than what this process knows.
    pub(super) is_older: bool,
    /// Believe everything.
    pub(super) trust: bool,
    /// Whether the answer covers every tenant that should be followed.
    pub(super) complete: bool,
}

/// The next view.
pub(super) struct Adopted {
    pub(super) view: View,
    /// What differs from the view before.
    pub(super) changed: Vec<FlagKey>,
    /// How many fields are kept although Redis does not have them.
    pub(super) lost: usize,
    /// How many of those were there at the load before.
    pub(super) newly_lost: usize,
}

/// Makes the next view.
pub(super) fn adopt(previous: &View, raw: &RawFlags, evidence: &Evidence<'_>) -> Adopted {
    let mut merge = Merge {
        evidence,
        budget: evidence.budget,
        changed: Vec::new(),
        newly_lost: 0,
    };
    let global = merge.layer(None, Some(&previous.global), &raw.global);
    let mut tenants = if evidence.complete {
        Map::default()
    } else {
        previous.tenants.clone()
    };
    for (tenant, layer) in &raw.tenants {
        let before = previous.tenants.get(tenant);
        let flags = merge.layer(Some(tenant), before.map(|before| &before.flags), layer);
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
    evidence: &'a Evidence<'a>,
    budget: u64,
    changed: Vec<FlagKey>,
    newly_lost: usize,
}

impl Merge<'_> {
    /// `before` is nothing when the layer was never looked at.
    fn layer(
        &mut self,
        tenant: Option<&TenantId>,
        before: Option<&Arc<Layer>>,
        raw: &RawLayer,
    ) -> Arc<Layer> {
        let is_older = self.evidence.is_older && before.is_some();
        let before = before.cloned().unwrap_or_default();
        if is_same(&before, raw) {
            return before;
        }
        let mut after = Layer::default();
        for (flag, text) in raw {
            let known = before.get_key_value(flag.as_str());
            let name: Arc<str> = known.map_or_else(|| flag.as_str().into(), |(name, _)| name.clone());
            let known = known.map(|(_, entry)| entry);
            let place = (tenant.cloned(), name.clone());
            let doubtful = !self.is_explained(&place);
            let entry = match known {
                Some(known) if known.is_text(text) => Entry {
                    lost: false,
                    instead: None,
                    ..known.clone()
                },
                Some(known) if doubtful && known.instead.as_deref() == Some(text) => known.clone(),
                known if doubtful && is_older => {
                    self.newly_lost += usize::from(known.is_none_or(|known| !known.lost));
                    known.map_or_else(|| Entry::unset(text), |known| known.lost_to(Some(text)))
                }
                known => {
                    self.changed.push(place);
                    Entry::read(flag, text, known)
                }
            };
            after.insert(name, entry);
        }
        let unexplained: Vec<(&Arc<str>, &Entry)> = before
            .iter()
            .filter(|(flag, entry)| !raw.contains_key(&***flag) && !entry.is_unset())
            .filter(|(flag, _)| {
                let place = (tenant.cloned(), (*flag).clone());
                let gone = self.is_explained(&place);
                if gone {
                    self.changed.push(place);
                }
                !gone
            })
            .collect();
        let newly_lost = unexplained.iter().filter(|(_, entry)| !entry.lost).count();
        let implausible = is_older || is_implausible(before.len(), newly_lost, raw.is_empty(), self.budget);
        if implausible {
            self.newly_lost += newly_lost;
        } else {
            self.budget = self.budget.saturating_sub(newly_lost as u64);
        }
        for (flag, entry) in unexplained {
            // What was lost before stays lost, however the rest of the hash recovers.
            if implausible || entry.lost {
                after.insert(flag.clone(), entry.lost_to(None));
            } else {
                self.changed.push((tenant.cloned(), flag.clone()));
            }
        }
        Arc::new(after)
    }

    /// Whether there is evidence that a flag is as Redis has it.
    fn is_explained(&self, place: &FlagKey) -> bool {
        self.evidence.trust || self.evidence.explained.contains(place)
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
        let evidence = Evidence {
            explained: &explained,
            budget,
            is_older: false,
            trust: false,
            complete: true,
        };
        adopt(previous, &raw(flags), &evidence)
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
        let evidence = Evidence {
            explained: &explained,
            budget: 1,
            is_older: false,
            trust: false,
            complete: true,
        };
        let adopted = adopt(&view(&FLAGS), &answer, &evidence);
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
        let evidence = Evidence {
            explained: &HashSet::new(),
            budget: 0,
            is_older: false,
            trust: true,
            complete: true,
        };
        let adopted = adopt(&view(&FLAGS), &raw(&[]), &evidence);
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
        let evidence = Evidence {
            explained: &explained,
            budget: 0,
            is_older: false,
            trust: false,
            complete: true,
        };
        let good = adopt(&View::default(), &answer, &evidence).view;
        answer.global.insert("rich".to_owned(), "{oops".to_owned());
        let entry = adopt(&good, &answer, &evidence).view.global["rich"].clone();
        assert!(entry.is_switched_on());
        assert!(entry.error.unwrap().contains("not JSON"));
    }
    /// An answer of a server that went back in time.
    fn older(previous: &View, flags: &[(&str, &str)], explained: &[&str]) -> Adopted {
        answered(previous, flags, explained, true)
    }

    fn answered(previous: &View, flags: &[(&str, &str)], explained: &[&str], is_older: bool) -> Adopted {
        let explained = explained.iter().map(|flag| (None, (*flag).into())).collect();
        let evidence = Evidence {
            explained: &explained,
            budget: 0,
            is_older,
            trust: false,
            complete: true,
        };
        let flags = flags
            .iter()
            .map(|(flag, text)| ((*flag).to_owned(), (*text).to_owned()));
        let raw = RawFlags {
            global: flags.collect(),
            ..RawFlags::default()
        };
        adopt(previous, &raw, &evidence)
    }

    fn is_on(adopted: &Adopted, flag: &str) -> bool {
        adopted.view.global[flag].is_switched_on()
    }

    #[test]
    fn in_a_store_that_went_back_one_missing_field_is_a_lost_one() {
        let adopted = older(&view(&["booking.stop", "a", "b"]), &[("a", "1"), ("b", "1")], &[]);
        assert_eq!((adopted.lost, adopted.newly_lost), (1, 1));
        assert!(is_on(&adopted, "booking.stop") && adopted.changed.is_empty());
    }

    #[test]
    fn in_a_store_that_went_back_an_older_value_is_not_believed_until_it_is_written() {
        let lost = older(
            &view(&["booking.stop", "a"]),
            &[("booking.stop", "0"), ("a", "1")],
            &[],
        );
        assert_eq!((lost.lost, is_on(&lost, "booking.stop")), (1, true));
        let again = answered(&lost.view, &[("booking.stop", "0"), ("a", "0")], &[], false);
        assert_eq!(
            (again.lost, is_on(&again, "booking.stop"), is_on(&again, "a")),
            (1, true, false)
        );
        for (text, explained) in [("0", &["booking.stop"][..]), ("off", &[])] {
            let written = answered(
                &again.view,
                &[("booking.stop", text), ("a", "0")],
                explained,
                false,
            );
            assert_eq!(
                (written.lost, is_on(&written, "booking.stop")),
                (0, false),
                "{text}"
            );
        }
        let healed = answered(&again.view, &[("booking.stop", "1"), ("a", "0")], &[], false);
        assert_eq!((healed.lost, is_on(&healed, "booking.stop")), (0, true));
    }

    #[test]
    fn in_a_store_that_went_back_a_field_that_was_unset_does_not_return() {
        let lost = older(&view(&["a"]), &[("a", "1"), ("booking.stop", "1")], &[]);
        assert_eq!((lost.lost, is_on(&lost, "booking.stop")), (1, false));
        assert!(!lost.view.all(None).contains_key("booking.stop"));
        let written = answered(&lost.view, &[("a", "1"), ("booking.stop", "on")], &[], false);
        assert_eq!((written.lost, is_on(&written, "booking.stop")), (0, true));
        let gone = answered(&lost.view, &[("a", "1")], &[], false);
        assert_eq!((gone.lost, kept(&gone)), (0, 1));
    }

    #[test]
    fn in_a_store_that_went_back_what_was_written_afterwards_is_believed() {
        let before = view(&["booking.stop", "a", "b"]);
        let adopted = older(
            &before,
            &[("booking.stop", "0"), ("new", "1")],
            &["booking.stop", "new"],
        );
        assert_eq!(adopted.lost, 2);
        assert!(!is_on(&adopted, "booking.stop") && is_on(&adopted, "new"));
    }
}
