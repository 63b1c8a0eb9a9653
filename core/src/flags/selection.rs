//! Who belongs to what: lists of values, shares of the guests, and variants by weight.

use std::collections::HashSet;
use std::sync::Arc;

use unleash_types::client_features::{Constraint, Operator};

use super::bucket::Buckets;
use super::context::Context;
use super::variant::FlagVariant;
use crate::rng;

/// Which part of a context keeps a guest in the same bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stickiness {
    /// The user, else the session, else chance.
    Default,
    /// Chance, every time anew.
    Random,
    User,
    Session,
    RemoteAddress,
    Environment,
    AppName,
    Property(Box<str>),
}

impl Stickiness {
    /// The stickiness of a rollout or of variants.
    pub(super) fn parse(name: Option<&str>) -> Self {
        match name {
            None | Some("default") => Self::Default,
            Some("random") => Self::Random,
            Some(field) => Self::parse_field(field),
        }
    }

    /// A field of the context by Unleash's name.
    pub(super) fn parse_field(name: &str) -> Self {
        match name {
            "userId" => Self::User,
            "sessionId" => Self::Session,
            "remoteAddress" => Self::RemoteAddress,
            "environment" => Self::Environment,
            "appName" => Self::AppName,
            property => Self::Property(property.into()),
        }
    }

    /// The identifier that sticks, if the context has one.
    fn identifier<'c>(&self, context: &'c Context<'_>) -> Option<&'c str> {
        match self {
            Self::Default => context.user_id.or(context.session_id),
            Self::Random => None,
            Self::User => context.user_id,
            Self::Session => context.session_id,
            Self::RemoteAddress => context.remote_address,
            Self::Environment => context.environment,
            Self::AppName => context.app_name,
            Self::Property(name) => context.find_property(name),
        }
    }

    /// Whether chance decides when the identifier is missing; a rollout that sticks on a named field leaves
    /// everybody out who does not have it.
    fn may_draw(&self) -> bool {
        matches!(self, Self::Default | Self::Random)
    }
}

/// The constraints `IN` and `NOT_IN`: whether a field of the context is one of some values.
pub(super) struct Membership {
    field: Stickiness,
    values: HashSet<String, foldhash::fast::RandomState>,
    negated: bool,
}

impl Membership {
    /// Whether a constraint is of this kind. The time is not a field of the context.
    pub(super) fn is_one(constraint: &Constraint) -> bool {
        matches!(constraint.operator, Operator::In | Operator::NotIn)
            && constraint.context_name != "currentTime"
    }

    pub(super) fn new(constraint: Constraint) -> Self {
        Self {
            field: Stickiness::parse_field(&constraint.context_name),
            values: constraint.values.unwrap_or_default().into_iter().collect(),
            negated: (constraint.operator == Operator::NotIn) != constraint.inverted,
        }
    }

    pub(super) fn holds(&self, context: &Context<'_>) -> bool {
        let is_member = self
            .field
            .identifier(context)
            .is_some_and(|value| self.values.contains(value));
        is_member != self.negated
    }
}

/// A share of the guests.
#[derive(Debug)]
pub(super) struct Rollout {
    pub(super) percent: u32,
    pub(super) buckets: Buckets,
    pub(super) stickiness: Stickiness,
}

impl Rollout {
    pub(super) fn includes(&self, context: &Context<'_>) -> bool {
        let bucket = match self.stickiness.identifier(context) {
            Some(identifier) => self.buckets.bucket(identifier, 100),
            None if self.stickiness.may_draw() => draw(100),
            None => return false,
        };
        bucket <= self.percent
    }
}

/// Variants to choose from by weight.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) candidates: Vec<Candidate>,
    /// The sum of the weights; zero only when there are no candidates.
    pub(super) total: u32,
    pub(super) buckets: Buckets,
    pub(super) stickiness: Stickiness,
}

/// One variant, how often it is chosen, and who gets it always.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) variant: Arc<FlagVariant>,
    pub(super) weight: u32,
    pub(super) overrides: Vec<(Stickiness, Vec<String>)>,
}

impl Candidate {
    pub(super) fn is_forced_for(&self, context: &Context<'_>) -> bool {
        self.overrides.iter().any(|(field, values)| {
            field
                .identifier(context)
                .is_some_and(|found| values.iter().any(|value| value == found))
        })
    }
}

impl Choice {
    pub(super) fn pick(&self, context: &Context<'_>) -> Option<&Candidate> {
        if let Some(forced) = self
            .candidates
            .iter()
            .find(|candidate| candidate.is_forced_for(context))
        {
            return Some(forced);
        }
        if self.total == 0 {
            return None;
        }
        let target = match self.stickiness.identifier(context) {
            Some(identifier) => self.buckets.bucket(identifier, self.total),
            None => draw(self.total),
        };
        let mut reached = 0;
        self.candidates.iter().find(|candidate| {
            reached += candidate.weight;
            reached >= target
        })
    }
}

/// A random number in `1..=count`.
fn draw(count: u32) -> u32 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the product is in 0..count"
    )]
    let drawn = (rng::unit() * f64::from(count)) as u32;
    drawn.min(count.saturating_sub(1)) + 1
}
