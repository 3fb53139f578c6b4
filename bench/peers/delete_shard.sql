-- The rows of every deleted school, children first; the night excludes one school of twenty.
CREATE TEMP TABLE deleted_rooms AS SELECT DISTINCT classroom_id FROM seats WHERE school % 20 > 0;
CREATE TEMP TABLE e AS SELECT id FROM enrollments JOIN deleted_rooms USING (classroom_id);
CREATE TEMP TABLE l AS SELECT l.id FROM lesson_enrollments l JOIN e ON e.id = enrollment_id;
CREATE TEMP TABLE a AS SELECT a.id FROM attempts a JOIN l ON l.id = lesson_enrollment_id;
CREATE TEMP TABLE t AS SELECT t.id FROM placement_tests t JOIN e ON e.id = enrollment_id;
CREATE TEMP TABLE v AS SELECT v.id FROM enrollment_activities v JOIN l ON l.id = lesson_enrollment_id;
ANALYZE deleted_rooms; ANALYZE e; ANALYZE l; ANALYZE a; ANALYZE t; ANALYZE v;
DELETE FROM enrollment_activity_attemptables d USING v WHERE enrollment_activity_id = v.id;
DELETE FROM enrollment_activities d USING v WHERE d.id = v.id;
DELETE FROM placement_attempts d USING t WHERE placement_test_id = t.id;
DELETE FROM placement_tests d USING t WHERE d.id = t.id;
DELETE FROM hint_views d USING a WHERE attempt_id = a.id;
DELETE FROM attempts d USING a WHERE d.id = a.id;
DELETE FROM lesson_enrollments d USING l WHERE d.id = l.id;
DELETE FROM enrollments d USING e WHERE d.id = e.id;
