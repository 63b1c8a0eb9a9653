//! `posada.pms`: the calls here, how values cross in [`values`], requests in [`request`], the mock in [`mock`].

mod events;
mod feed;
mod mock;
mod request;
mod rooms;
mod values;

use std::str::FromStr;

use chrono::NaiveDate;
use posada::pms::{Feature, Support};
use posada::{IdempotencyKey, PmsClient};
use pyo3::prelude::*;

use crate::arguments::{Nights, Parts};
use crate::bridge::{Operation, ProcessBound};
use crate::correlation;
use crate::errors::Refusal;
use crate::handle::Handle;
use crate::locks::Hold;
use crate::values::{Answer, List, Value};
pub(crate) use events::PmsWatch;
pub(crate) use feed::Feed;
use feed::Since;
pub(crate) use mock::Mock;
use request::{ChangeFields, Choice, Person, RequestFields, chosen};
use rooms::Rooms;
pub(crate) use values::Quoted;

#[pyclass(frozen, module = "posada._native")]
pub(crate) struct Pms(pub(crate) ProcessBound<PmsClient>);

/// The key of a message.
#[pyfunction]
pub(crate) fn idempotency_key(namespace: &str, message_id: &str) -> PyResult<String> {
    let key = IdempotencyKey::of(namespace, message_id).map_err(Refusal::from)?;
    Ok(key.as_str().to_owned())
}

/// Calls, each of which belongs to the request of its caller.
impl Pms {
    /// Starts a call within the request of the caller. The crate itself ends what was begun in a hotel's system.
    fn call<T, Work>(&self, py: Python<'_>, work: impl FnOnce(PmsClient) -> Work) -> PyResult<Operation>
    where
        T: Value + Send + 'static,
        Work: Future<Output = posada::Result<T>> + Send + 'static,
    {
        let ids = correlation::current(py)?;
        self.0.call(py, |pms| {
            let work = work(pms);
            correlation::within(ids, async { Ok(Answer(work.await?)) })
        })
    }
}

/// An id as it is given: a number, or text.
#[derive(FromPyObject)]
pub(crate) enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    /// The id of whatever kind is wanted.
    pub(super) fn read<T: From<u64> + FromStr<Err = posada::Error>>(&self) -> Result<T, Refusal> {
        match self {
            Self::Number(number) => Ok(T::from(*number)),
            Self::Text(text) => Ok(text.parse()?),
        }
    }
}

#[pymethods]
impl Pms {
    #[new]
    fn new(handle: &Handle) -> PyResult<Self> {
        Ok(Self(handle.keep(|posada| posada.pms().clone())?))
    }

    #[allow(clippy::type_complexity, reason = "one answer, read in one place")]
    fn capabilities(
        &self,
    ) -> PyResult<(
        String,
        Vec<(&'static str, bool)>,
        Vec<(&'static str, &'static str)>,
    )> {
        let pms = self.0.get()?;
        let capabilities = pms.capabilities();
        let features = Feature::ALL.map(|feature| {
            let support = match capabilities.has(feature) {
                Support::Yes => "yes",
                Support::No => "no",
                Support::Partly(limit) => limit,
            };
            (feature.as_str(), support)
        });
        let guards = capabilities.guards().each();
        Ok((pms.system().to_owned(), guards.to_vec(), features.to_vec()))
    }

    fn hotels(&self, py: Python<'_>) -> PyResult<Operation> {
        self.call(py, async |pms: PmsClient| pms.hotels().await.map(List))
    }

    fn self_test(&self, py: Python<'_>) -> PyResult<Operation> {
        self.call(py, async |pms: PmsClient| pms.self_test().await.map(List))
    }

    fn room_types(&self, py: Python<'_>, hotel: Id) -> PyResult<Operation> {
        let hotel = hotel.read()?;
        self.call(py, async move |pms: PmsClient| {
            pms.room_types(hotel).await.map(List)
        })
    }

    fn services(&self, py: Python<'_>, hotel: Id, room_type: Id) -> PyResult<Operation> {
        let (hotel, room_type) = (hotel.read()?, room_type.read()?);
        self.call(py, async move |pms: PmsClient| {
            pms.services(hotel, room_type).await.map(List)
        })
    }

    #[pyo3(signature = (hotel, stay, party, room_type=None))]
    fn availability(
        &self,
        py: Python<'_>,
        hotel: Id,
        stay: Nights,
        party: Parts<Rooms>,
        room_type: Option<Id>,
    ) -> PyResult<Operation> {
        let (hotel, party) = (hotel.read()?, party.0.party()?);
        let room_type = room_type.map(|id| id.read()).transpose()?;
        self.call(py, async move |pms: PmsClient| {
            pms.availability(hotel, stay.0, party, room_type).await
        })
    }

    fn quote(
        &self,
        py: Python<'_>,
        hotel: Id,
        room_type: Id,
        stay: Nights,
        party: Parts<Rooms>,
        services: Parts<Vec<Choice>>,
    ) -> PyResult<Operation> {
        let (hotel, room_type, party) = (hotel.read()?, room_type.read()?, party.0.party()?);
        let services = chosen(&services.0)?;
        self.call(py, async move |pms: PmsClient| {
            let quote = pms.quote_with_services(hotel, room_type, stay.0, party, services);
            quote.await
        })
    }

    #[pyo3(signature = (request, hold=None))]
    fn book(
        &self,
        py: Python<'_>,
        request: Parts<RequestFields>,
        hold: Option<&Hold>,
    ) -> PyResult<Operation> {
        let request = request.0.request()?;
        let proof = hold.map(|hold| hold.proof(py)).transpose()?;
        self.call(py, async move |pms: PmsClient| {
            pms.book(&request, proof.as_ref()).await
        })
    }

    fn booking(&self, py: Python<'_>, id: Id) -> PyResult<Operation> {
        let id = id.read()?;
        self.call(py, async move |pms: PmsClient| pms.booking(id).await)
    }

    fn find_booking(&self, py: Python<'_>, key: &str) -> PyResult<Operation> {
        let key = IdempotencyKey::parse(key).map_err(Refusal::from)?;
        self.call(py, async move |pms: PmsClient| pms.find_booking(&key).await)
    }

    fn cancel(&self, py: Python<'_>, id: Id) -> PyResult<Operation> {
        let id = id.read()?;
        self.call(py, async move |pms: PmsClient| pms.cancel(id).await)
    }

    fn force_cancel(&self, py: Python<'_>, id: Id) -> PyResult<Operation> {
        let id = id.read()?;
        self.call(py, async move |pms: PmsClient| pms.force_cancel(id).await)
    }

    fn modify(&self, py: Python<'_>, id: Id, change: Parts<ChangeFields>) -> PyResult<Operation> {
        let (id, change) = (id.read()?, change.0.change()?);
        self.call(py, async move |pms: PmsClient| pms.modify(id, &change).await)
    }

    fn quote_change(&self, py: Python<'_>, id: Id, change: Parts<ChangeFields>) -> PyResult<Operation> {
        let (id, change) = (id.read()?, change.0.change()?);
        self.call(py, async move |pms: PmsClient| {
            pms.quote_change(id, &change).await
        })
    }

    fn check_in(&self, py: Python<'_>, id: Id) -> PyResult<Operation> {
        let id = id.read()?;
        self.call(py, async move |pms: PmsClient| pms.check_in(id).await)
    }

    fn check_out(&self, py: Python<'_>, id: Id) -> PyResult<Operation> {
        let id = id.read()?;
        self.call(py, async move |pms: PmsClient| pms.check_out(id).await)
    }

    fn arrivals(&self, py: Python<'_>, hotel: Id, day: NaiveDate) -> PyResult<Operation> {
        let hotel = hotel.read()?;
        self.call(py, async move |pms: PmsClient| {
            pms.arrivals(hotel, day).await.map(List)
        })
    }

    fn departures(&self, py: Python<'_>, hotel: Id, day: NaiveDate) -> PyResult<Operation> {
        let hotel = hotel.read()?;
        self.call(py, async move |pms: PmsClient| {
            pms.departures(hotel, day).await.map(List)
        })
    }

    fn guest(&self, py: Python<'_>, email: String) -> PyResult<Operation> {
        self.call(py, async move |pms: PmsClient| pms.guest(&email).await)
    }

    fn create_guest(&self, py: Python<'_>, new: Parts<Person>) -> PyResult<Operation> {
        let new = new.0.guest()?;
        self.call(py, async move |pms: PmsClient| pms.create_guest(&new).await)
    }

    fn invoices(&self, py: Python<'_>, id: Id) -> PyResult<Operation> {
        let id = id.read()?;
        self.call(py, async move |pms: PmsClient| pms.invoices(id).await)
    }

    fn changes_since(&self, cursor: Since) -> PyResult<Feed> {
        let changes = self.0.get()?.changes_since(cursor.cursor()?);
        Ok(Feed::new(changes, self.0.runtime()))
    }

    fn events(&self) -> PyResult<PmsWatch> {
        Ok(PmsWatch::new(self.0.get()?.events(), self.0.runtime()))
    }
}
