-- The rows of every deleted school, children first; users and students of other schools too stay.
CREATE TEMP TABLE s AS SELECT id FROM schools WHERE (id - 1) / 4 % 20 > 0;
CREATE TEMP TABLE c AS SELECT c.id FROM classrooms c JOIN s ON s.id = school_id;
CREATE TEMP TABLE p AS
SELECT student_id AS id FROM classroom_students JOIN c ON c.id = classroom_id
EXCEPT SELECT student_id FROM classroom_students WHERE classroom_id NOT IN (SELECT id FROM c);
CREATE TEMP TABLE u AS
(SELECT user_id AS id FROM school_administrations JOIN s ON s.id = school_id
 UNION SELECT user_id FROM school_assignments JOIN s ON s.id = school_id
 UNION SELECT user_id FROM classroom_teachings JOIN c ON c.id = classroom_id)
EXCEPT SELECT user_id FROM school_administrations WHERE school_id NOT IN (SELECT id FROM s)
EXCEPT SELECT user_id FROM school_assignments WHERE school_id NOT IN (SELECT id FROM s)
EXCEPT SELECT user_id FROM classroom_teachings WHERE classroom_id NOT IN (SELECT id FROM c);
ANALYZE s; ANALYZE c; ANALYZE p; ANALYZE u;
DELETE FROM donations WHERE school_id IN (SELECT id FROM s) OR class_id IN (SELECT id FROM c)
                         OR student_id IN (SELECT id FROM p);
DELETE FROM parents_students d USING p WHERE student_id = p.id;
DELETE FROM student_settings d USING p WHERE student_id = p.id;
DELETE FROM student_sessions d USING p WHERE student_id = p.id;
DELETE FROM classroom_students d USING c WHERE classroom_id = c.id;
DELETE FROM students d USING p WHERE d.id = p.id;
DELETE FROM classroom_teachings d USING c WHERE classroom_id = c.id;
DELETE FROM classroom_goals d USING c WHERE classroom_id = c.id;
DELETE FROM classrooms d USING c WHERE d.id = c.id;
DELETE FROM taggings d USING s WHERE taggable_type = 'School' AND taggable_id = s.id;
DELETE FROM school_file_imports d USING s WHERE school_id = s.id;
DELETE FROM school_csv_imports d USING s WHERE school_id = s.id;
DELETE FROM school_assignments d USING s WHERE school_id = s.id;
DELETE FROM school_administrations d USING s WHERE school_id = s.id;
DELETE FROM user_opted_in_rollup_reports d USING u WHERE user_id = u.id;
DELETE FROM preferences d USING u WHERE user_id = u.id;
DELETE FROM users d USING u WHERE d.id = u.id;
DELETE FROM schools d USING s WHERE d.id = s.id;
