INSERT INTO billing_calendars VALUES ($at_us, $zone, $grace_hours);
