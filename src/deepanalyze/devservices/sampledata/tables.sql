CREATE TABLE airlines (
    carrier text NOT NULL,
    name    text NOT NULL
);

CREATE TABLE airports (
    faa   text NOT NULL,
    name  text NOT NULL,
    lat   double precision NOT NULL,
    lon   double precision NOT NULL,
    alt   integer NOT NULL,
    tz    integer NOT NULL,
    dst   text NOT NULL,
    tzone text
);

CREATE TABLE planes (
    tailnum      text NOT NULL,
    year         integer,
    type         text NOT NULL,
    manufacturer text NOT NULL,
    model        text NOT NULL,
    engines      integer NOT NULL,
    seats        integer NOT NULL,
    speed        integer,
    engine       text NOT NULL
);

CREATE TABLE flights (
    year           integer NOT NULL,
    month          integer NOT NULL,
    day            integer NOT NULL,
    dep_time       integer,
    sched_dep_time integer NOT NULL,
    dep_delay      integer,
    arr_time       integer,
    sched_arr_time integer NOT NULL,
    arr_delay      integer,
    carrier        text NOT NULL,
    flight         integer NOT NULL,
    tailnum        text,
    origin         text NOT NULL,
    dest           text NOT NULL,
    air_time       integer,
    distance       integer NOT NULL,
    hour           integer NOT NULL,
    minute         integer NOT NULL,
    time_hour      timestamptz NOT NULL
);

COMMENT ON TABLE airlines IS 'Airlines by their carrier code';
COMMENT ON COLUMN airlines.carrier IS 'Two-character carrier code';
COMMENT ON COLUMN airlines.name IS 'Full name of the airline';

COMMENT ON TABLE airports IS 'Airports of the United States, with location and time zone';
COMMENT ON COLUMN airports.faa IS 'FAA airport code';
COMMENT ON COLUMN airports.name IS 'Usual name of the airport';
COMMENT ON COLUMN airports.lat IS 'Latitude, degrees north';
COMMENT ON COLUMN airports.lon IS 'Longitude, degrees east';
COMMENT ON COLUMN airports.alt IS 'Altitude, feet';
COMMENT ON COLUMN airports.tz IS 'Time zone, hours from UTC without daylight saving time';
COMMENT ON COLUMN airports.dst IS 'Daylight saving time: A as in the United States, N none, U unknown';
COMMENT ON COLUMN airports.tzone IS 'IANA time zone; null where unknown';

COMMENT ON TABLE planes IS 'Planes that the FAA''s aircraft registry knows, by tail number';
COMMENT ON COLUMN planes.tailnum IS 'Tail number';
COMMENT ON COLUMN planes.year IS 'Year of manufacture; null where unknown';
COMMENT ON COLUMN planes.type IS 'Type of plane';
COMMENT ON COLUMN planes.manufacturer IS 'Manufacturer';
COMMENT ON COLUMN planes.model IS 'Model';
COMMENT ON COLUMN planes.engines IS 'Number of engines';
COMMENT ON COLUMN planes.seats IS 'Number of seats';
COMMENT ON COLUMN planes.speed IS 'Average cruising speed, miles per hour; known for few planes';
COMMENT ON COLUMN planes.engine IS 'Type of engine';

COMMENT ON TABLE flights IS 'Every flight that was to leave New York City (EWR, JFK, LGA) in 2013. Hourly weather at the origin is in the container, keyed by origin and time_hour';
COMMENT ON COLUMN flights.year IS 'Year of departure, local time';
COMMENT ON COLUMN flights.month IS 'Month of departure, local time';
COMMENT ON COLUMN flights.day IS 'Day of departure, local time';
COMMENT ON COLUMN flights.dep_time IS 'Actual departure, local time as HHMM or HMM; null for a cancelled flight';
COMMENT ON COLUMN flights.sched_dep_time IS 'Scheduled departure, local time as HHMM or HMM';
COMMENT ON COLUMN flights.dep_delay IS 'Departure delay, minutes; negative is early, null for a cancelled flight';
COMMENT ON COLUMN flights.arr_time IS 'Actual arrival, local time as HHMM or HMM; null when it did not arrive';
COMMENT ON COLUMN flights.sched_arr_time IS 'Scheduled arrival, local time as HHMM or HMM';
COMMENT ON COLUMN flights.arr_delay IS 'Arrival delay, minutes; negative is early, null when cancelled or diverted';
COMMENT ON COLUMN flights.carrier IS 'Carrier code of the airline';
COMMENT ON COLUMN flights.flight IS 'Flight number';
COMMENT ON COLUMN flights.tailnum IS 'Tail number of the plane; about one flight in six has none that planes knows';
COMMENT ON COLUMN flights.origin IS 'FAA code of the airport of departure';
COMMENT ON COLUMN flights.dest IS 'FAA code of the destination; airports lacks BQN, PSE, SJU (Puerto Rico) and STT (Virgin Islands)';
COMMENT ON COLUMN flights.air_time IS 'Time in the air, minutes; null when cancelled or diverted';
COMMENT ON COLUMN flights.distance IS 'Distance between the airports, miles';
COMMENT ON COLUMN flights.hour IS 'Hour of the scheduled departure, local time';
COMMENT ON COLUMN flights.minute IS 'Minute of the scheduled departure';
COMMENT ON COLUMN flights.time_hour IS 'The scheduled departure''s hour as a point in time; joins to weather with origin';
