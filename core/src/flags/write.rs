//! The writes of this process: first to the store, then at once to its own view.

use std::future::Future;
use std::sync::Arc;

use super::FeatureFlags;
use super::follow::Recent;
use super::load::Extent;
use super::store::Written;
use super::view::FlagKey;
use super::view::{Entry, Layer, View};
use crate::error::{Result, codes};
use crate::tenants::TenantId;

impl FeatureFlags {
    /// Runs a write to its end, and reads everything again when its outcome is unknown.
    pub(super) async fn write<T, F>(&self, work: impl FnOnce(Self) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.start_if_needed();
        let flags = self.clone();
        self.0
            .tasks
            .detach(async move {
                let outcome = work(flags.clone()).await;
                if let Err(error) = &outcome
                    && error.is(codes::REDIS_OUTCOME_UNKNOWN)
                {
                    let after = flags.clone();
                    flags.0.tasks.in_background(async move {
                        // A failure is shown by the status and tried again by the poll.
                        let _ = after.load(Extent::All, false).await;
                    });
                }
                outcome
            })
            .await
    }

    /// Shows a write of this process, and keeps a running load from undoing it.
    pub(super) fn apply(&self, tenant: Option<TenantId>, flag: &str, value: Option<&str>, written: &Written) {
        let mut ledger = self.0.follower.ledger();
        ledger.generation += 1;
        ledger.history.note(written);
        let place: FlagKey = (tenant, flag.into());
        let generation = ledger.generation;
        ledger.recent.insert(
            place.clone(),
            Recent {
                generation,
                value: value.map(Into::into),
                written: written.clone(),
            },
        );
        let mut view = View::clone(&self.0.view.load());
        let mut layer = Layer::clone(&view.layer(place.0.as_ref()));
        let removed = layer.remove(flag).filter(|entry| !entry.is_unset());
        let is_change = removed.as_ref().map(|entry| &*entry.raw) != value;
        if let Some(value) = value {
            layer.insert(place.1.clone(), Entry::read(flag, value, removed.as_ref()));
        }
        view.replace(place.0.clone(), Arc::new(layer));
        self.publish(view, if is_change { vec![place] } else { Vec::new() });
    }
}
