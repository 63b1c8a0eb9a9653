//! `posada._native`: the crate `posada` for Python.
//!
//! Nothing here decides anything about hotels. `bridge` turns futures into awaitables; beside it stands one file
//! per service of the crate, which reads arguments and hands answers over as plain tuples, of which the Python package
//! makes its classes.

#![forbid(unsafe_code)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments of Python arrive by value"
)]

mod arguments;
mod auth;
mod bridge;
mod correlation;
mod errors;
mod flags;
mod handle;
mod json;
mod limits;
mod locks;
mod metrics;
mod open;
mod pms;
mod record;
mod sessions;
mod settings;
mod tenant;
mod tenants;
mod values;

/// What one thread allocates for a call, another frees, and in glibc's allocator they wait for each other: that is most
/// of what many calls at once wait for. This one serves other threads from caches, and sets its locks right after a
/// fork. It fixes the size of a page when it is built, so it is used only where there is one size.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The native half of the package.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::arguments::seconds;
    #[pymodule_export]
    use crate::auth::{
        Auth, AuthWatch, Claims, legacy_password_hash, own_permission, password_matches, password_violations,
        permission, role_permissions,
    };
    #[pymodule_export]
    use crate::bridge::{LoopBridge, Operation, forked, set_workers, shutdown, workers};
    #[pymodule_export]
    use crate::correlation::Ids;
    #[pymodule_export]
    use crate::errors::{http_answer, http_status};
    #[pymodule_export]
    use crate::flags::{Flags, Snapshot, Watch, default_flags};
    #[pymodule_export]
    use crate::handle::Handle;
    #[pymodule_export]
    use crate::json::{read_json, write_json};
    #[pymodule_export]
    use crate::limits::{Limit, Limits, refuse};
    #[pymodule_export]
    use crate::locks::{AcquireOptions, Guard, Hold, Locks, StayHold, fence_guard_sql};
    #[pymodule_export]
    use crate::metrics::{count_request, record_metrics, render_metrics};
    #[pymodule_export]
    use crate::open::{diagnose_environment, finding_codes};
    #[pymodule_export]
    use crate::pms::{Feed, Mock, Pms, PmsWatch, Quoted, idempotency_key};
    #[pymodule_export]
    use crate::sessions::{SessionState, Sessions};
    #[pymodule_export]
    use crate::settings::{Settings, variables};
    #[pymodule_export]
    use crate::tenant::Tenant;
    #[pymodule_export]
    use crate::tenants::{Resolution, Tenants, parse_identifier};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
