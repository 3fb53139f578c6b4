-- The seat of every student, by the same arithmetic in every database, so that a shard needs nothing from master.
-- 1000003 is a prime above every count here, so multiplying by it shuffles: no school's ids are a range.
CREATE TEMP VIEW seats AS
SELECT student_id, 1 + seat * 1000003 % :classrooms AS classroom_id,
       CASE WHEN seat < :big_schools * :big_classrooms THEN seat / :big_classrooms
            ELSE seat - :big_schools * (:big_classrooms - 1) END + 1 AS school
  FROM (SELECT n AS student_id,
               CASE WHEN shuffled < :big_schools * :big_students THEN shuffled % (:big_schools * :big_classrooms)
                    ELSE :big_schools * :big_classrooms
                         + (shuffled - :big_schools * :big_students) % (:schools - :big_schools) END AS seat
          FROM (SELECT n, n * 1000003 % :students AS shuffled FROM generate_series(1, :students::bigint) n) s) t;

-- A time in the school year, in the order of ids.
CREATE FUNCTION pg_temp.moment(part double precision) RETURNS timestamp IMMUTABLE LANGUAGE sql AS
$$SELECT timestamp '2013-08-19 08:00' + part * interval '300 days'$$;

-- Text typed by students, some of it of the kind that has broken dumps.
CREATE FUNCTION pg_temp.words(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS
$$SELECT CASE n % 23 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'tab\there' WHEN 3 THEN E'line\nbreak'
            WHEN 4 THEN E'back\\slash \\t \\N' WHEN 5 THEN 'Zoë Łukasz 李 🎓' WHEN 6 THEN '"double" and ''single'' quotes'
            ELSE 'x = ' || n % 997 || ', y = ' || n * 7919 % 100003 END$$;
