//! Stay holds in Redis: one script per step, all holds of a resource in one slot.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Days, NaiveDate, Utc};

use super::store::{
    Changed, Ended, Held, HoldStore, Holder, MAX_HOLDS, Moved, Prolong, Record, ResourceKey, Shortage, Slot,
    Step, Wish,
};
use crate::backends::redis::keys::{self, HoldKeys};
use crate::backends::redis::{Call, Failure, Redis, Script, script};
use crate::error::{Error, Result};
use crate::locks::model::Release;
use crate::locks::redis::Answer;
use crate::stay::Stay;

static HOLD: Script = script!(
    "holds.hold",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "hold_free.lua",
    "book.lua",
    "hold.lua"
);
/// The script of one hold as a function, whose parameter takes the place of `ARGV`.
static HOLD_ALL: Script = Script::new(
    "holds.hold_all",
    concat!(
        include_str!("../clock.lua"),
        include_str!("../numbers.lua"),
        include_str!("layout.lua"),
        include_str!("book.lua"),
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
    "book.lua",
    "extend.lua"
);
static CONFIRM: Script = script!(
    "holds.confirm",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "book.lua",
    "confirm.lua"
);
static MOVE: Script = script!(
    "holds.move",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "book.lua",
    "move.lua"
);
static RELEASE: Script = script!(
    "holds.release",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "release_held.lua",
    "book.lua",
    "release.lua"
);
static LIST: Script = script!(
    "holds.list",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "book.lua",
    "list.lua"
);
static SWEEP: Script = script!(
    "holds.sweep",
    "../clock.lua",
    "../numbers.lua",
    "layout.lua",
    "book.lua",
    "sweep.lua"
);

/// Holds on a Redis server, Sentinel group or cluster.
pub(crate) struct RedisHolds {
    redis: Redis,
}

/// A flat list of slot and record.
type Records = Vec<String>;

/// Outcome, record, nights, the earliest end, now, expired.
type HeldAnswer = (String, String, String, String, String, Records);

impl RedisHolds {
    pub(crate) fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn call(&self, script: &'static Script, key: &ResourceKey) -> Call<'_> {
        let HoldKeys { book, ends } = keys_of(key);
        self.redis.script(script).key(book).key(ends)
    }

    /// Runs one of the scripts that change a hold.
    async fn change(call: Call<'_>, slot: &Slot) -> Result<Step<Changed>> {
        let (outcome, record, now, expired): (String, String, String, Records) = call.read().await?;
        let answer = match outcome.as_str() {
            "done" => Changed::Done(read_record(slot.clone(), &record)?),
            "already" => Changed::Already(read_record(slot.clone(), &record)?),
            "max" => Changed::MaxExtensions(read_record(slot.clone(), &record)?),
            "gone" => Changed::Gone,
            "not_owner" => Changed::NotOwner,
            _ => return Err(unexpected("answer")),
        };
        step(answer, &now, &expired)
    }
}

/// Every script may run twice without harm, so a dropped connection is repeated like a read.
#[async_trait]
impl HoldStore for RedisHolds {
    async fn hold(&self, wish: Wish<'_>) -> Result<Step<Held>> {
        match with_wish(self.call(&HOLD, wish.key), wish).read().await? {
            Answer::Text(text) => {
                let (now, record) = read_short(wish.slot, &text)?;
                step(Held::New(record), now, &[])
            }
            Answer::Parts(answer) => read_held(wish, answer),
        }
    }

    fn share_a_step(&self, keys: &[&ResourceKey]) -> bool {
        self.redis.share_a_part(keys.iter().map(|key| keys_of(key).book))
    }

    async fn hold_together(&self, wishes: &[Wish<'_>]) -> Result<Vec<Step<Held>>> {
        let mut call = self.redis.script(&HOLD_ALL);
        for wish in wishes {
            let HoldKeys { book, ends } = keys_of(wish.key);
            call = call.key(book).key(ends);
        }
        for wish in wishes {
            call = with_wish(call, *wish);
        }
        let answers: Vec<HeldAnswer> = call.read().await?;
        let each = wishes.iter().zip(answers);
        each.map(|(wish, answer)| read_held(*wish, answer)).collect()
    }

    async fn extend(
        &self,
        key: &ResourceKey,
        slot: &Slot,
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
        Self::change(call, slot).await
    }

    async fn confirm(
        &self,
        key: &ResourceKey,
        slot: &Slot,
        token: &str,
        at_least: Duration,
    ) -> Result<Step<Changed>> {
        let call = self
            .call(&CONFIRM, key)
            .arg(slot_text(slot))
            .arg(token)
            .arg(millis(at_least));
        Self::change(call, slot).await
    }

    async fn move_to(
        &self,
        key: &ResourceKey,
        slot: &Slot,
        token: &str,
        stay: Stay,
        capacity: u32,
    ) -> Result<Step<Moved>> {
        let holder = slot.holder.clone();
        let target = Slot { stay, holder };
        let call = self
            .call(&MOVE, key)
            .arg(slot_text(slot))
            .arg(token)
            .arg(slot_text(&target))
            .arg(capacity);
        let (outcome, record, nights, frees_at, now, expired): (
            String,
            String,
            String,
            String,
            String,
            Records,
        ) = call.read().await?;
        let answer = match outcome.as_str() {
            "done" => Moved::Done(read_record(target, &record)?),
            "taken" => Moved::Taken(read_shortage(&record, &nights, &frees_at)?),
            "occupied" => Moved::Occupied,
            "gone" => Moved::Gone,
            "not_owner" => Moved::NotOwner,
            _ => return Err(unexpected("answer")),
        };
        step(answer, &now, &expired)
    }

    async fn release(&self, key: &ResourceKey, slot: &Slot, token: &str) -> Result<Step<Ended>> {
        let call = self.call(&RELEASE, key).arg(slot_text(slot)).arg(token);
        let answer: Answer<(String, String, String, Records)> = call.read().await?;
        let (outcome, record, now, expired) = match answer {
            Answer::Text(text) => {
                let (now, record) = read_short(slot, &text)?;
                return step(Ended::Done(Release::Released, Some(record)), now, &[]);
            }
            Answer::Parts(parts) => parts,
        };
        let answer = match outcome.as_str() {
            "released" => Ended::Done(Release::Released, Some(read_record(slot.clone(), &record)?)),
            "gone" => Ended::Done(Release::AlreadyReleased, None),
            "not_owner" => Ended::NotOwner,
            _ => return Err(unexpected("answer")),
        };
        let mut step = step(answer, &now, &expired)?;
        if step
            .expired
            .iter()
            .any(|record| record.slot == *slot && record.token == token)
        {
            step.answer = Ended::Done(Release::Expired, None);
        }
        Ok(step)
    }

    async fn list(&self, key: &ResourceKey) -> Result<Step<Vec<Record>>> {
        let (now, expired, live): (String, Records, Records) = self.call(&LIST, key).read().await?;
        step(read_records(&live)?, &now, &expired)
    }

    async fn sweep(&self, key: &ResourceKey) -> Result<Step<Option<DateTime<Utc>>>> {
        let (now, expired, next): (String, Records, String) = self.call(&SWEEP, key).read().await?;
        step(read_optional_moment(&next)?, &now, &expired)
    }
}

fn keys_of(key: &ResourceKey) -> HoldKeys {
    let tenant = key.tenant.as_ref().map(AsRef::as_ref);
    keys::holds(tenant, key.resource.kind(), &key.resource.id())
}

fn with_wish<'a>(call: Call<'a>, wish: Wish<'_>) -> Call<'a> {
    call.arg(slot_text(wish.slot))
        .arg(wish.id)
        .arg(wish.token)
        .arg(wish.user_id.unwrap_or(""))
        .arg(wish.quantity)
        .arg(wish.capacity)
        .arg(millis(wish.ttl))
        .arg(MAX_HOLDS)
}

fn read_held(
    wish: Wish<'_>,
    (outcome, record, nights, frees_at, now, expired): HeldAnswer,
) -> Result<Step<Held>> {
    let answer = match outcome.as_str() {
        "new" => Held::New(read_record(wish.slot.clone(), &record)?),
        "same" => Held::Same(read_record(wish.slot.clone(), &record)?),
        "full" => Held::Full,
        "taken" => Held::Taken(read_shortage(&record, &nights, &frees_at)?),
        _ => return Err(unexpected("answer")),
    };
    step(answer, &now, &expired)
}

fn read_shortage(own: &str, nights: &str, frees_at: &str) -> Result<Shortage> {
    let own = own
        .split_once('\t')
        .map(|(slot, record)| read_record(read_slot(slot)?, record));
    Ok(Shortage {
        nights: read_nights(nights)?,
        frees_at: read_optional_moment(frees_at)?,
        own: own.transpose()?.map(Box::new),
    })
}

/// The answer of the common case: now, and the record of this slot.
fn read_short<'a>(slot: &Slot, text: &'a str) -> Result<(&'a str, Record)> {
    let (now, record) = text.split_once('\t').ok_or_else(|| unexpected("answer"))?;
    Ok((now, read_record(slot.clone(), record)?))
}

fn step<T>(answer: T, now: &str, expired: &[String]) -> Result<Step<T>> {
    Ok(Step {
        answer,
        expired: read_records(expired)?,
        now: moment(now)?,
    })
}

/// First night, night after the last, holder: `=` and the conversation, or `#` and the hold's own id.
fn slot_text(slot: &Slot) -> String {
    let (first, last) = (day(slot.stay.check_in()), day(slot.stay.check_out()));
    match &slot.holder {
        Holder::Session(id) => format!("{first}:{last}:={id}"),
        Holder::Anonymous(id) => format!("{first}:{last}:#{id}"),
    }
}

fn read_slot(text: &str) -> Result<Slot> {
    let fields: Vec<_> = text.splitn(3, ':').collect();
    let [first, last, holder] = *fields.as_slice() else {
        return Err(unexpected("slot"));
    };
    let holder = match (holder.strip_prefix('='), holder.strip_prefix('#')) {
        (Some(id), _) => Holder::Session(id.to_owned()),
        (None, Some(id)) => Holder::Anonymous(id.to_owned()),
        (None, None) => return Err(unexpected("holder")),
    };
    Ok(Slot {
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

/// Reads a record as `book.lua` writes it.
fn read_record(slot: Slot, text: &str) -> Result<Record> {
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn moment(text: &str) -> Result<DateTime<Utc>> {
    let millis = text.parse().map_err(|_| unexpected("time"))?;
    DateTime::from_timestamp_millis(millis).ok_or_else(|| unexpected("time"))
}

fn read_nights(text: &str) -> Result<Vec<NaiveDate>> {
    text.split(',').map(read_day).collect()
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
            let slot = Slot { stay, holder };
            assert_eq!(read_slot(&slot_text(&slot)).unwrap(), slot);
        }
    }

    #[test]
    fn days_before_1970_read_back() {
        let date = NaiveDate::from_ymd_opt(1899, 12, 31).unwrap();
        assert_eq!(read_day(&day(date).to_string()).unwrap(), date);
    }
}
