//! The taxes on services. A server tells prices without tax, and by which group of rules they are taxed; the rules say
//! for which country and state.
//!
//! Every booking leaves rules behind, so only those of the groups that matter are read.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http::HttpClient;
use super::query::Query;
use super::reader::Node;
use crate::error::{Result, codes};
use crate::pms::id::HotelId;

/// Only this rule counts, or all of them together, or one on top of the other.
const ALONE: u64 = 0;
const ON_TOP: u64 = 2;

/// What a server says about taxes, as it came; nothing when it may not say it to our key.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TaxesDescribed {
    rules: Option<Value>,
    taxes: Option<Value>,
}

impl TaxesDescribed {
    /// Reads the rules of the groups that room types and services name, and their taxes.
    ///
    /// # Errors
    /// That of a failed read. A key that may not see them gets prices of rooms, and no services.
    pub(super) async fn read(http: &HttpClient, types: &Value, services: &Value) -> Result<Self> {
        let mut groups = BTreeSet::new();
        for node in Node::new(types)
            .list()
            .into_iter()
            .chain(Node::new(services).list())
        {
            let own = node.field("associations").field("services").list();
            for node in std::iter::once(node).chain(own) {
                groups.extend(node.field("id_tax_rules_group").number());
            }
        }
        groups.remove(&0);
        if groups.is_empty() {
            return Ok(Self::default());
        }
        let of_groups = Query::full().any_of("id_tax_rules_group", groups);
        let rules = match http.list("tax_rules", "tax_rules", of_groups).await {
            Err(error) if error.is(codes::PMS_NOT_PERMITTED) => return Ok(Self::default()),
            rules => rules?,
        };
        let rule = |node: Node<'_>| node.field("id_tax").number();
        let ids: BTreeSet<u64> = Node::new(&rules).list().into_iter().filter_map(rule).collect();
        let taxes = if ids.is_empty() {
            Value::Array(Vec::new())
        } else {
            match http.list("taxes", "taxes", Query::full().any_of("id", ids)).await {
                Err(error) if error.is(codes::PMS_NOT_PERMITTED) => return Ok(Self::default()),
                taxes => taxes?,
            }
        };
        Ok(Self {
            rules: Some(rules),
            taxes: Some(taxes),
        })
    }
}

/// Where a hotel stands.
#[derive(Debug)]
pub(super) struct Place {
    country: u64,
    state: u64,
    postcode: String,
}

#[derive(Debug)]
struct Rule {
    group: u64,
    country: u64,
    state: u64,
    postcodes: (String, String),
    behaviour: u64,
    rate: Decimal,
}

/// The rules of a server, and where its hotels stand.
pub(super) struct Taxes {
    /// `None` when the server did not tell.
    rules: Option<Vec<Rule>>,
    places: HashMap<HotelId, Place>,
    is_taxed: bool,
}

impl Taxes {
    pub(super) fn new(described: &TaxesDescribed, hotels: &Value, is_taxed: bool) -> Self {
        let place = |node: Node<'_>| {
            let id = HotelId::from(node.field("id").id()?);
            let place = Place {
                country: node.field("id_country").number()?,
                state: node.field("id_state").number().unwrap_or(0),
                postcode: node.field("zipcode").text().unwrap_or_default(),
            };
            Some((id, place))
        };
        let rules = described.rules.as_ref().zip(described.taxes.as_ref());
        Self {
            rules: rules.map(|(rules, taxes)| read_rules(rules, taxes)),
            places: Node::new(hotels).list().into_iter().filter_map(place).collect(),
            is_taxed,
        }
    }

    pub(super) fn place(&self, hotel: HotelId) -> Option<&Place> {
        self.places.get(&hotel)
    }

    /// The tax of a group at a place, as a part of the price; `None` when the server did not tell. The nearest rules
    /// come first, and the first says how they are combined.
    pub(super) fn rate(&self, group: u64, place: Option<&Place>) -> Option<Decimal> {
        if group == 0 || !self.is_taxed {
            return Some(Decimal::ZERO);
        }
        let (rules, place) = (self.rules.as_ref()?, place?);
        let mut rules: Vec<_> = rules.iter().filter(|rule| rule.holds(group, place)).collect();
        rules.sort_by_key(|rule| Reverse((&rule.postcodes, rule.state)));
        let Some(first) = rules.first() else {
            return Some(Decimal::ZERO);
        };
        let count = rules.iter().position(|rule| rule.behaviour == ALONE);
        let rates = rules.iter().take(count.map_or(rules.len(), |place| place + 1));
        let combined = rates.fold(Decimal::ZERO, |sum, rule| match first.behaviour {
            ON_TOP => sum
                .saturating_add(rule.rate)
                .saturating_add(sum.saturating_mul(rule.rate)),
            _ => sum.saturating_add(rule.rate),
        });
        Some(if first.behaviour == ALONE {
            first.rate
        } else {
            combined
        })
    }
}

impl Rule {
    fn holds(&self, group: u64, place: &Place) -> bool {
        let (from, to) = &self.postcodes;
        let everywhere = to == "0" && (from == "0" || *from == place.postcode);
        let within = *from <= place.postcode && place.postcode <= *to;
        self.group == group
            && self.country == place.country
            && (self.state == 0 || self.state == place.state)
            && (everywhere || within)
    }
}

fn read_rules(rules: &Value, taxes: &Value) -> Vec<Rule> {
    let tax = |node: Node<'_>| Some((node.field("id").number()?, node.field("rate").decimal()?));
    let rates: HashMap<_, _> = Node::new(taxes).list().into_iter().filter_map(tax).collect();
    let rule = |node: Node<'_>| {
        let postcode = |name: &str| node.field(name).text().unwrap_or_else(|| "0".to_owned());
        let percent = rates.get(&node.field("id_tax").number()?)?;
        Some(Rule {
            group: node.field("id_tax_rules_group").number()?,
            country: node.field("id_country").number()?,
            state: node.field("id_state").number().unwrap_or(0),
            postcodes: (postcode("zipcode_from"), postcode("zipcode_to")),
            behaviour: node.field("behavior").number().unwrap_or(ALONE),
            rate: percent.checked_div(Decimal::ONE_HUNDRED)?,
        })
    };
    Node::new(rules).list().into_iter().filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taxes(rules: &Value) -> Taxes {
        let described = TaxesDescribed {
            rules: Some(rules.clone()),
            taxes: Some(json!([{"id": 1, "rate": "4.000"}, {"id": 2, "rate": "10.000"}])),
        };
        let hotels = json!([{"id": 1, "id_country": 21, "id_state": 1, "zipcode": "35203"}]);
        Taxes::new(&described, &hotels, true)
    }

    fn rate(rules: &Value) -> String {
        let taxes = taxes(rules);
        let place = taxes.place(HotelId::from(1));
        taxes.rate(1, place).unwrap().normalize().to_string()
    }

    fn rule(fields: &Value) -> Value {
        let mut rule = json!({"id_tax_rules_group": 1, "id_country": 21, "id_state": 0, "zipcode_from": "0",
            "zipcode_to": "0", "id_tax": 1, "behavior": 0});
        for (name, value) in fields.as_object().unwrap() {
            rule[name] = value.clone();
        }
        rule
    }

    #[test]
    fn only_the_rules_of_the_hotels_place_count() {
        assert_eq!(rate(&json!([rule(&json!({}))])), "0.04");
        for elsewhere in [
            json!({"id_country": 22}),
            json!({"id_state": 2}),
            json!({"id_tax_rules_group": 2}),
            json!({"zipcode_from": "40000", "zipcode_to": "50000"}),
        ] {
            assert_eq!(rate(&json!([rule(&elsewhere)])), "0", "{elsewhere}");
        }
        assert_eq!(
            rate(&json!([rule(
                &json!({"zipcode_from": "35000", "zipcode_to": "36000"})
            )])),
            "0.04"
        );
    }

    #[test]
    fn the_nearest_rule_says_how_several_are_combined() {
        let of_state = |behaviour: u64| rule(&json!({"id_state": 1, "id_tax": 2, "behavior": behaviour}));
        for (behaviour, combined) in [(0, "0.1"), (1, "0.14"), (2, "0.144")] {
            let rules = json!([rule(&json!({})), of_state(behaviour)]);
            assert_eq!(rate(&rules), combined, "{behaviour}");
        }
    }

    #[test]
    fn what_the_shop_does_not_tell_is_not_guessed() {
        let hotels = json!([{"id": 1, "id_country": 21}]);
        let untold = Taxes::new(&TaxesDescribed::default(), &hotels, true);
        let place = untold.place(HotelId::from(1));
        assert_eq!(untold.rate(1, place), None);
        assert_eq!(untold.rate(0, place), Some(Decimal::ZERO));
        let untaxed = Taxes::new(&TaxesDescribed::default(), &hotels, false);
        assert_eq!(untaxed.rate(1, place), Some(Decimal::ZERO));
    }
}
