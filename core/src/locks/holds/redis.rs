//! Stay holds in Redis: one script per step, all holds of a resource in one slot.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, Utc};
use redis::{FromRedisValue, ParsingError, Value};

use super::store::{
    Changed, Ended, HoldOutcome, HoldRequest, HoldSlot, HoldStore, Holder, MAX_HOLDS, Moved, Prolong, Record,
    ResourceKey, Shortage, Step,
};
use crate::backends::redis::keys::{self, HoldKeys};
use crate::backends::redis::{Call, Failure, Redis, Script, script};
use crate::clock::millis;
use crate::error::{Error, Result};
use crate::locks::model::Release;
use crate::stay::Stay;

static HOLD: Script = script!(
    "holds.hold",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "hold_free.lua",
    "hold_table.lua",
    "hold.lua"
);
/// The script of one hold as a function, whose parameter takes the place of `ARGV`.
static HOLD_ALL: Script = Script::new(
    "holds.hold_all",
    concat!(
        include_str!("../clock.lua"),
        include_str!("../numbers.lua"),
        include_str!("layout.lua"),
        include_str!("hold_table.lua"),
        "local function hold(ARGV)\n",
        include_str!("hold.lua"),
        "end\n",
        include_str!("hold_all.lua"),
    ),
);
static EXTEND: Script = script!(
    "holds.extend",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "hold_table.lua",
    "extend.lua"
);
static CONFIRM: Script = script!(
    "holds.confirm",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "hold_table.lua",
    "confirm.lua"
);
static MOVE: Script = script!(
    "holds.move",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "hold_table.lua",
    "move.lua"
);
static RELEASE: Script = script!(
    "holds.release",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "release_held.lua",
    "hold_table.lua",
    "release.lua"
);
static LIST: Script = script!(
    "holds.list",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "hold_table.lua",
    "list.lua"
);
static SWEEP: Script = script!(
    "holds.sweep",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "hold_table.lua",
    "sweep.lua"
);

/// Holds on a Redis server, Sentinel group or cluster.
pub(crate) struct RedisHolds {
    redis: Redis,
}

/// What every script of holds answers: as `answer` in `hold_table.lua` makes it, or in the common cases one text,
/// because lists cost the server more.
struct Answer {
    now: String,
    /// A flat list of slot and record.
    expired: Vec<String>,
    outcome: String,
    /// What belongs to the outcome.
    fields: Vec<String>,
}

impl FromRedisValue for Answer {
    fn from_redis_value(value: Value) -> std::result::Result<Self, ParsingError> {
        let Value::Array(parts) = value else {
            let text = String::from_redis_value(value)?;
            let (outcome, rest) = text.split_once('\t').unwrap_or_default();
            let (now, record) = rest.split_once('\t').unwrap_or_default();
            return Ok(Self {
                now: now.to_owned(),
                expired: Vec::new(),
                outcome: outcome.to_owned(),
                fields: vec![record.to_owned()],
            });
        };
        let mut parts = parts.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Nil);
        Ok(Self {
            now: String::from_redis_value(next())?,
            expired: Vec::from_redis_value(next())?,
            outcome: String::from_redis_value(next())?,
            fields: parts
                .map(String::from_redis_value)
                .collect::<std::result::Result<_, _>>()?,
        })
    }
}

impl Answer {
    fn field(&self, number: usize) -> Result<&str> {
        self.fields
            .get(number)
            .map(String::as_str)
            .ok_or_else(|| unexpected("answer"))
    }

    /// The record that the outcome brings, of this slot.
    fn record(&self, slot: &HoldSlot) -> Result<Record> {
        read_record(slot.clone(), self.field(0)?)
    }

    /// Which nights lack units.
    fn shortage(&self) -> Result<Shortage> {
        let own = self
            .field(0)?
            .split_once('\t')
            .map(|(slot, record)| read_record(read_slot(slot)?, record));
        Ok(Shortage {
            nights: self.field(1)?.split(',').map(read_day).collect::<Result<_>>()?,
            frees_at: read_optional_moment(self.field(2)?)?,
            own: own.transpose()?.map(Box::new),
        })
    }

    fn step<T>(&self, answer: T) -> Result<Step<T>> {
        Ok(Step {
            answer,
            expired: read_records(&self.expired)?,
            now: moment(&self.now)?,
        })
    }

    fn held(&self, slot: &HoldSlot) -> Result<Step<HoldOutcome>> {
        self.step(match self.outcome.as_str() {
            "new" => HoldOutcome::New(self.record(slot)?),
            "same" => HoldOutcome::Same(self.record(slot)?),
            "full" => HoldOutcome::Full,
            "taken" => HoldOutcome::Taken(self.shortage()?),
            _ => return Err(unexpected("answer")),
        })
    }

    fn changed(&self, slot: &HoldSlot) -> Result<Step<Changed>> {
        self.step(match self.outcome.as_str() {
            "done" => Changed::Done(self.record(slot)?),
            "already" => Changed::Already(self.record(slot)?),
            "max" => Changed::MaxExtensions(self.record(slot)?),
            "gone" => Changed::Gone,
            "not_owner" => Changed::NotOwner,
            _ => return Err(unexpected("answer")),
        })
    }

    fn moved(&self, target: &HoldSlot) -> Result<Step<Moved>> {
        self.step(match self.outcome.as_str() {
            "done" => Moved::Done(self.record(target)?),
            "taken" => Moved::Taken(self.shortage()?),
            "occupied" => Moved::Occupied,
            "gone" => Moved::Gone,
            "not_owner" => Moved::NotOwner,
            _ => return Err(unexpected("answer")),
        })
    }

    fn ended(&self, slot: &HoldSlot, token: &str) -> Result<Step<Ended>> {
        let mut step = self.step(match self.outcome.as_str() {
            "released" => Ended::Done(Release::Released, Some(self.record(slot)?)),
            "gone" => Ended::Done(Release::AlreadyReleased, None),
            "not_owner" => Ended::NotOwner,
            _ => return Err(unexpected("answer")),
        })?;
        let is_this = |record: &Record| record.slot == *slot && record.token == token;
        if step.expired.iter().any(is_this) {
            step.answer = Ended::Done(Release::Expired, None);
        }
        Ok(step)
    }
}

impl RedisHolds {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn call(&self, script: &'static Script, key: &ResourceKey) -> Call<'_> {
        let HoldKeys { table, ends } = keys_of(key);
        self.redis.script(script).key(table).key(ends)
    }
}

/// Every script may run twice without harm, so a dropped connection is repeated like a read.
#[async_trait]
impl HoldStore for RedisHolds {
    async fn hold(&self, request: HoldRequest<'_>) -> Result<Step<HoldOutcome>> {
        let call = with_request(self.call(&HOLD, request.key), request);
        let answer: Answer = call.read().await?;
        answer.held(request.slot)
    }

    fn share_a_step(&self, keys: &[&ResourceKey]) -> bool {
        self.redis.share_a_part(keys.iter().map(|key| keys_of(key).table))
    }

    async fn hold_together(&self, requests: &[HoldRequest<'_>]) -> Result<Vec<Step<HoldOutcome>>> {
        let mut call = self.redis.script(&HOLD_ALL);
        for request in requests {
            let HoldKeys { table, ends } = keys_of(request.key);
            call = call.key(table).key(ends);
        }
        for request in requests {
            call = with_request(call, *request);
        }
        let answers: Vec<Answer> = call.read().await?;
        let each = requests.iter().zip(answers);
        each.map(|(request, answer)| answer.held(request.slot)).collect()
    }

    async fn extend(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        prolong: Prolong,
    ) -> Result<Step<Changed>> {
        let call = self
            .call(&EXTEND, key)
            .arg(slot_text(slot))
            .arg(token)
            .arg(millis(prolong.extra))
            .arg(prolong.limit)
            .arg(prolong.seen);
        let answer: Answer = call.read().await?;
        answer.changed(slot)
    }

    async fn confirm(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        at_least: Duration,
    ) -> Result<Step<Changed>> {
        let call = self
            .call(&CONFIRM, key)
            .arg(slot_text(slot))
            .arg(token)
            .arg(millis(at_least));
        let answer: Answer = call.read().await?;
        answer.changed(slot)
    }

    async fn move_to(
        &self,
        key: &ResourceKey,
        slot: &HoldSlot,
        token: &str,
        stay: Stay,
        capacity: u32,
    ) -> Result<Step<Moved>> {
        let holder = slot.holder.clone();
        let target = HoldSlot { stay, holder };
        let call = self
            .call(&MOVE, key)
            .arg(slot_text(slot))
            .arg(token)
            .arg(slot_text(&target))
            .arg(capacity);
        let answer: Answer = call.read().await?;
        answer.moved(&target)
    }

    async fn release(&self, key: &ResourceKey, slot: &HoldSlot, token: &str) -> Result<Step<Ended>> {
        let call = self.call(&RELEASE, key).arg(slot_text(slot)).arg(token);
        let answer: Answer = call.read().await?;
        answer.ended(slot, token)
    }

    async fn list(&self, key: &ResourceKey) -> Result<Step<Vec<Record>>> {
        let answer: Answer = self.call(&LIST, key).read().await?;
        answer.step(read_records(&answer.fields)?)
    }

    async fn sweep(&self, key: &ResourceKey) -> Result<Step<Option<DateTime<Utc>>>> {
        let answer: Answer = self.call(&SWEEP, key).read().await?;
        answer.step(read_optional_moment(answer.field(0)?)?)
    }
}

fn keys_of(key: &ResourceKey) -> HoldKeys {
    let tenant = key.tenant.as_ref().map(AsRef::as_ref);
    keys::holds(tenant, key.resource.kind(), &key.resource.id())
}

fn with_request<'a>(call: Call<'a>, request: HoldRequest<'_>) -> Call<'a> {
    call.arg(slot_text(request.slot))
        .arg(request.id)
        .arg(request.token)
        .arg(request.user_id.unwrap_or(""))
        .arg(request.quantity)
        .arg(request.capacity)
        .arg(millis(request.ttl))
        .arg(MAX_HOLDS)
}

/// First night, night after the last, holder: `=` and the conversation, or `#` and the hold's own id.
fn slot_text(slot: &HoldSlot) -> String {
    let (first, last) = (day(slot.stay.check_in()), day(slot.stay.check_out()));
    match &slot.holder {
        Holder::Session(id) => format!("{first}:{last}:={id}"),
        Holder::Anonymous(id) => format!("{first}:{last}:#{id}"),
    }
}

fn read_slot(text: &str) -> Result<HoldSlot> {
    let fields: Vec<_> = text.splitn(3, ':').collect();
    let [first, last, holder] = *fields.as_slice() else {
        return Err(unexpected("slot"));
    };
    let holder = match (holder.strip_prefix('='), holder.strip_prefix('#')) {
        (Some(id), _) => Holder::Session(id.to_owned()),
        (None, Some(id)) => Holder::Anonymous(id.to_owned()),
        (None, None) => return Err(unexpected("holder")),
    };
    Ok(HoldSlot {
        stay: Stay::new(read_day(first)?, read_day(last)?)?,
        holder,
    })
}

fn read_records(flat: &[String]) -> Result<Vec<Record>> {
    let pairs = flat.as_chunks::<2>().0.iter();
    pairs
        .map(|[slot, record]| read_record(read_slot(slot)?, record))
        .collect()
}

/// Reads a record as `hold_table.lua` writes it.
fn read_record(slot: HoldSlot, text: &str) -> Result<Record> {
    let fields: Vec<_> = text.splitn(8, '\t').collect();
    let [id, token, quantity, fence, acquired, expires, extensions, user] = *fields.as_slice() else {
        return Err(unexpected("record"));
    };
    Ok(Record {
        slot,
        id: id.to_owned(),
        token: token.to_owned(),
        user_id: (!user.is_empty()).then(|| user.to_owned()),
        quantity: quantity.parse().map_err(|_| unexpected("quantity"))?,
        fence: fence.parse().map_err(|_| unexpected("fence"))?,
        acquired_at: moment(acquired)?,
        expires_at: moment(expires)?,
        extensions: extensions.parse().map_err(|_| unexpected("count"))?,
    })
}

fn day(date: NaiveDate) -> i64 {
    (date - NaiveDate::default()).num_days()
}

fn read_day(text: &str) -> Result<NaiveDate> {
    let days: i64 = text.parse().map_err(|_| unexpected("day"))?;
    let distance = Days::new(days.unsigned_abs());
    let epoch = NaiveDate::default();
    let date = if days < 0 {
        epoch.checked_sub_days(distance)
    } else {
        epoch.checked_add_days(distance)
    };
    date.ok_or_else(|| unexpected("day"))
}

fn moment(text: &str) -> Result<DateTime<Utc>> {
    let millis = text.parse().map_err(|_| unexpected("time"))?;
    DateTime::from_timestamp_millis(millis).ok_or_else(|| unexpected("time"))
}

fn read_optional_moment(text: &str) -> Result<Option<DateTime<Utc>>> {
    if text.is_empty() {
        Ok(None)
    } else {
        moment(text).map(Some)
    }
}

fn unexpected(what: &str) -> Error {
    Failure::Unexpected(format!("not a {what} of a hold as posada writes it")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_read_back() {
        let stay = Stay::parse("2027-03-10", "2027-03-12").unwrap();
        for holder in [
            Holder::Session("a:b#c".to_owned()),
            Holder::Session("=".to_owned()),
            Holder::Anonymous("0f".to_owned()),
        ] {
            let slot = HoldSlot { stay, holder };
            assert_eq!(read_slot(&slot_text(&slot)).unwrap(), slot);
        }
    }

    #[test]
    fn days_before_1970_read_back() {
        let date = NaiveDate::from_ymd_opt(1899, 12, 31).unwrap();
        assert_eq!(read_day(&day(date).to_string()).unwrap(), date);
    }
}
