-- Which row of `tenants` each user belongs to, beside the id that `users.tenant_id` has: a new hotel of the same id must
-- not inherit the users of one that was deleted. posada notes it when it makes a user and with every sign-in; here,
-- for the users that there are. A user who is not noted so far belongs to the hotel of the id.

CREATE TABLE IF NOT EXISTS posada.user_hotel (
    user_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    hotel bigint NOT NULL
);

INSERT INTO posada.user_hotel (user_id, tenant_id, hotel)
SELECT u.id, u.tenant_id, t.id FROM users u JOIN tenants t ON t.tenant_id = u.tenant_id
ON CONFLICT (user_id) DO NOTHING;
