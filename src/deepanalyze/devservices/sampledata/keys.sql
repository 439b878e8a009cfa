-- Only what is true of every row: some tail numbers and four destinations have no row to refer to.
ALTER TABLE airlines ADD PRIMARY KEY (carrier);
ALTER TABLE airports ADD PRIMARY KEY (faa);
ALTER TABLE planes ADD PRIMARY KEY (tailnum);
ALTER TABLE flights ADD PRIMARY KEY (time_hour, carrier, flight);
ALTER TABLE flights ADD CONSTRAINT flights_carrier_fkey FOREIGN KEY (carrier) REFERENCES airlines;
ALTER TABLE flights ADD CONSTRAINT flights_origin_fkey FOREIGN KEY (origin) REFERENCES airports;
ANALYZE airlines, airports, planes, flights;
