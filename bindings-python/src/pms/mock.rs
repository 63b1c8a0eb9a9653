//! `posada.MockPms`: the mock hotel with its script of faults in a test's hand.

use posada::Money;
use posada::clock::SystemClock;
use posada::pms::{Currency, MockCollision, MockFault, MockOperation, MockPms};
use pyo3::prelude::*;
use rust_decimal::Decimal;

use super::Id;
use super::request::unknown;
use crate::bridge::{ProcessBound, RuntimeHandle};
use crate::errors::Refusal;

#[pyclass(frozen, subclass, module = "posada._native")]
pub(crate) struct Mock(ProcessBound<MockPms>);

impl Mock {
    pub(crate) fn client(&self) -> Result<&MockPms, Refusal> {
        self.0.get()
    }
}

fn operation(name: &str) -> Result<MockOperation, Refusal> {
    match name {
        "read" => Ok(MockOperation::Read),
        "create" => Ok(MockOperation::Create),
        "place" => Ok(MockOperation::Place),
        "cancel" => Ok(MockOperation::Cancel),
        "price" => Ok(MockOperation::Price),
        "guest" => Ok(MockOperation::Guest),
        _ => Err(unknown(
            "operation",
            "read, create, place, cancel, price or guest",
            name,
        )),
    }
}

fn fault(name: &str, after_lookups: u32) -> Result<MockFault, Refusal> {
    match name {
        "unavailable" => Ok(MockFault::Unavailable),
        "timeout_before_write" => Ok(MockFault::TimeoutBeforeWrite),
        "timeout_after_write" => Ok(MockFault::TimeoutAfterWrite),
        "timeout_then_write" => Ok(MockFault::TimeoutThenWrite { after_lookups }),
        _ => Err(unknown(
            "fault",
            "unavailable, timeout_before_write, timeout_after_write or timeout_then_write",
            name,
        )),
    }
}

#[pymethods]
impl Mock {
    #[new]
    fn new() -> PyResult<Self> {
        let mock = MockPms::new(SystemClock::shared()).map_err(Refusal::from)?;
        Ok(Self(ProcessBound::new(mock, RuntimeHandle::current()?)))
    }

    fn _script(&self, operation: &str, fault: &str, times: usize, after_lookups: u32) -> PyResult<()> {
        let (operation, fault) = (self::operation(operation)?, self::fault(fault, after_lookups)?);
        self.0.get()?.script(operation, fault, times);
        Ok(())
    }

    fn _set_gap(&self, yields: usize) -> PyResult<()> {
        self.0.get()?.set_gap(yields);
        Ok(())
    }

    fn _set_collision(&self, collision: &str) -> PyResult<()> {
        let collision = match collision {
            "back_order" => MockCollision::BackOrder,
            "double_book" => MockCollision::DoubleBook,
            _ => return Err(unknown("collision", "back_order or double_book", collision).into()),
        };
        self.0.get()?.set_collision(collision);
        Ok(())
    }

    fn _set_base_price(&self, room_type: Id, amount: Decimal, currency: &str) -> PyResult<()> {
        let currency = Currency::parse(currency).map_err(Refusal::from)?;
        let price = Money::new(amount, currency).map_err(Refusal::from)?;
        self.0.get()?.set_base_price(room_type.read()?, price);
        Ok(())
    }

    fn _set_city_tax(&self, amount: Decimal, currency: &str) -> PyResult<()> {
        let currency = Currency::parse(currency).map_err(Refusal::from)?;
        let each = Money::new(amount, currency).map_err(Refusal::from)?;
        self.0.get()?.set_city_tax(each).map_err(Refusal::from)?;
        Ok(())
    }

    /// How often two bookings met in one room.
    fn collisions(&self) -> PyResult<usize> {
        Ok(self.0.get()?.collisions())
    }

    /// How many bookings there are that are not cancelled.
    fn bookings(&self) -> PyResult<usize> {
        Ok(self.0.get()?.bookings())
    }

    /// How many nights of rooms belong to two bookings: zero, if the promise holds.
    fn double_booked_nights(&self) -> PyResult<usize> {
        Ok(self.0.get()?.double_booked_nights())
    }
}
