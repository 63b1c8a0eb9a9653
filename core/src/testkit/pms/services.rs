//! Services that a guest chooses: what must hold from the list of them to a change of the booking.

use super::{Suite, adults, expect};
use crate::Stay;
use crate::error::codes;
use crate::pms::{
    Booking, BookingChange, BookingRequest, ChosenService, Created, HotelId, Party, Quote, RoomTypeId,
    Service, ServiceId,
};

impl Suite {
    /// Everything of this file.
    pub(super) async fn run_services(&self) {
        self.services_are_listed_with_what_they_cost().await;
        self.what_cannot_be_chosen_is_refused().await;
        self.a_quote_has_its_services_and_the_booking_costs_it().await;
        self.every_room_of_a_party_has_the_services().await;
        self.the_same_key_with_other_services_is_refused().await;
        self.a_service_stays_when_the_nights_change().await;
        self.services_stay_when_the_room_changes().await;
    }

    async fn services(&self) -> Vec<Service> {
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        self.client.services(hotel, room_type).await.unwrap()
    }

    /// Two that can be chosen once: the first is paid for each night, the second for the stay.
    async fn two(&self) -> [Service; 2] {
        let mut services = self.services().await;
        services.retain(|service| !service.automatic && service.max_quantity == Some(1));
        [true, false].map(|per_night| {
            let found = services.iter().find(|service| service.per_night == per_night);
            let missing =
                "the suite needs a service for each night and one for the stay, each once for a room";
            found.cloned().expect(missing)
        })
    }

    async fn quoted(&self, stay: Stay, party: impl Into<Party> + Send, services: &[ChosenService]) -> Quote {
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        let services = services.iter().copied();
        let quote = self
            .client
            .quote_with_services(hotel, room_type, stay, party, services);
        quote.await.unwrap()
    }

    /// Books what a quote is about, at its price.
    async fn book_quoted(&self, quote: &Quote, services: &[ChosenService], key: &str) -> Booking {
        let request = self.request(quote.stay, quote.party.clone(), key);
        let request =
            BookingRequest::from_quote(quote.clone(), request.guest().clone(), request.key().clone());
        let mut chosen = services.to_vec();
        chosen.sort_unstable();
        assert_eq!(request.chosen_services(), chosen);
        self.client.book(&request, None).await.unwrap()
    }

    /// The list says what costs what; what every room has is marked.
    pub async fn services_are_listed_with_what_they_cost(&self) {
        let services = self.services().await;
        assert!(services.iter().any(|service| service.automatic));
        assert!(services.iter().any(|service| !service.automatic));
        assert!(services.is_sorted_by_key(|service| service.id));
        for service in &services {
            assert!(!service.name.is_empty());
            assert!(
                service.net_price.amount() <= service.price.amount(),
                "{service:?}"
            );
        }
        let (hotel, nowhere) = (self.room_type.hotel, RoomTypeId::from(987_654));
        expect(
            self.client.services(hotel, nowhere).await,
            codes::PMS_UNKNOWN_ROOM_TYPE,
        );
        let nobody = HotelId::from(987_654);
        expect(
            self.client.services(nobody, self.room_type.id).await,
            codes::PMS_UNKNOWN_HOTEL,
        );
    }

    /// Unknown services, those in the price and more of one than a room can have: a quote and a booking say so alike.
    pub async fn what_cannot_be_chosen_is_refused(&self) {
        let stay = self.stay(124, 1);
        let before = self.free(stay).await;
        let services = self.services().await;
        let automatic = services.iter().find(|service| service.automatic).unwrap();
        let limited = services
            .iter()
            .find_map(|service| Some((service.id, service.max_quantity.filter(|_| !service.automatic)?)));
        let (limited, most) = limited.unwrap();
        let (hotel, room_type) = (self.room_type.hotel, self.room_type.id);
        for (name, service, quantity) in [
            ("unknown service", ServiceId::from(987_654), 1),
            ("automatic service", automatic.id, 1),
            ("too much of it", limited, most + 1),
        ] {
            let chosen = [ChosenService::new(service, quantity).unwrap()];
            let quote = self
                .client
                .quote_with_services(hotel, room_type, stay, adults(2), chosen);
            let error = expect(quote.await, codes::PMS_INVALID_REQUEST);
            assert_eq!(error.field(), Some("services"), "{name}");
            let request = self.request(stay, adults(2), name).services(chosen).unwrap();
            let error = expect(self.client.book(&request, None).await, codes::PMS_INVALID_REQUEST);
            assert_eq!(error.field(), Some("services"), "{name}");
        }
        assert_eq!(self.free(stay).await, before, "nothing was booked");
    }

    /// The guest hears the price of each service, pays the sum, and the booking has them, whoever reads it.
    pub async fn a_quote_has_its_services_and_the_booking_costs_it(&self) {
        let stay = self.stay(125, 2);
        let two = self.two().await;
        let chosen = two.each_ref().map(|service| ChosenService::from(service.id));
        let plain = self.quoted(stay, adults(2), &[]).await;
        let quote = self.quoted(stay, adults(2), &chosen).await;
        let [each_night, once] = &two;
        let items = each_night.price.times(2).unwrap().plus(once.price).unwrap();
        assert_eq!(quote.total, plain.total.plus(items).unwrap());
        assert_eq!(quote.rooms_total().unwrap(), plain.total);
        let booking = self.book_quoted(&quote, &chosen, "with services").await;
        assert_eq!((booking.created, booking.total), (Created::Created, quote.total));
        self.has(&booking, &two, 1);
        let again = self.book_quoted(&quote, &chosen, "with services").await;
        assert_eq!((again.id, again.created), (booking.id, Created::FoundAgain));
        for read in [
            self.client.booking(booking.id).await,
            self.client.find_booking(&self.key("with services")).await,
        ] {
            let read = read.unwrap().unwrap();
            assert_eq!((read.total, &read.services), (booking.total, &booking.services));
        }
        let folio = self.client.invoices(booking.id).await.unwrap();
        for service in &two {
            assert!(folio.lines.iter().any(|line| line.name == service.name));
        }
        let cancelled = self.client.cancel(booking.id).await.unwrap();
        assert_eq!(
            cancelled.services.len(),
            2,
            "what was booked can be read afterwards"
        );
    }

    /// Two rooms have two breakfasts.
    pub async fn every_room_of_a_party_has_the_services(&self) {
        let stay = self.stay(128, 2);
        let party = Party::new(vec![adults(2), adults(1)]).unwrap();
        let two = self.two().await;
        let chosen = two.each_ref().map(|service| ChosenService::from(service.id));
        let plain = self.quoted(stay, party.clone(), &[]).await;
        let quote = self.quoted(stay, party, &chosen).await;
        let [each_night, once] = &two;
        let items = each_night.price.times(4).unwrap();
        let items = items.plus(once.price.times(2).unwrap()).unwrap();
        assert_eq!(quote.total, plain.total.plus(items).unwrap());
        let booking = self.book_quoted(&quote, &chosen, "two breakfasts").await;
        assert_eq!(booking.total, quote.total);
        self.has(&booking, &two, 2);
    }

    /// Services are part of the wish that a key stands for.
    pub async fn the_same_key_with_other_services_is_refused(&self) {
        let stay = self.stay(131, 1);
        let [one, other] = self.two().await;
        let request = |services: &[ServiceId]| {
            let chosen = services.iter().copied().map(ChosenService::from);
            let request = self.request(stay, adults(2), "other services");
            request.services(chosen).unwrap()
        };
        self.client.book(&request(&[one.id]), None).await.unwrap();
        for services in [&[][..], &[other.id], &[one.id, other.id]] {
            let error = expect(
                self.client.book(&request(services), None).await,
                codes::PMS_KEY_REUSED,
            );
            assert_eq!(error.fact("differs"), Some("services"));
        }
    }

    /// A longer stay has the service in every night, and a shorter one pays for fewer.
    pub async fn a_service_stays_when_the_nights_change(&self) {
        let two = self.two().await;
        for (day, service) in [(133, &two[0]), (137, &two[1])] {
            let name = format!("service {day}");
            let chosen = [ChosenService::from(service.id)];
            let quote = self.quoted(self.stay(day, 2), adults(2), &chosen).await;
            let booking = self.book_quoted(&quote, &chosen, &name).await;
            for nights in [3, 1, 2] {
                let change = BookingChange::new().stay(self.stay(day, nights));
                let asked = self.quoted(self.stay(day, nights), adults(2), &chosen).await;
                let quote = self.client.quote_change(booking.id, &change).await.unwrap();
                assert_eq!((quote.total, &quote.services), (asked.total, &asked.services));
                let change = change.quote(quote).unwrap();
                let changed = self.client.modify(booking.id, &change).await.unwrap();
                assert_eq!(
                    (changed.stay, changed.total),
                    (self.stay(day, nights), asked.total)
                );
                self.has(&changed, std::slice::from_ref(service), 1);
            }
        }
    }

    /// Another room, and other guests, cost nothing and take nothing away.
    pub async fn services_stay_when_the_room_changes(&self) {
        let stay = self.stay(141, 2);
        let two = self.two().await;
        let chosen = two.each_ref().map(|service| ChosenService::from(service.id));
        let quote = self.quoted(stay, adults(2), &chosen).await;
        let booking = self.book_quoted(&quote, &chosen, "moves with services").await;
        let other = self.book(stay, "tells a number").await.unwrap();
        self.client.cancel(other.id).await.unwrap();
        let number = other.rooms[0].number.as_deref().unwrap();
        let change = BookingChange::new()
            .room(booking.rooms[0].id, number)
            .party(adults(1));
        let changed = self.client.modify(booking.id, &change).await.unwrap();
        let changed_room = changed.rooms[0].number.as_deref();
        assert_eq!((changed_room, changed.total), (Some(number), booking.total));
        self.has(&changed, &two, 1);
    }

    /// The booking has so many of each of these services, and nothing else.
    fn has(&self, booking: &Booking, services: &[Service], quantity: u32) {
        let mut expected: Vec<_> = services
            .iter()
            .map(|service| (service.id, service.name.clone(), quantity))
            .collect();
        expected.sort_unstable_by_key(|(id, ..)| *id);
        let has: Vec<_> = booking
            .services
            .iter()
            .map(|booked| (booked.service, booked.name.clone(), booked.quantity))
            .collect();
        assert_eq!(has, expected, "in {}", self.run);
    }
}
