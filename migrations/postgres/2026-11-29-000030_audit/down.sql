DROP TABLE audit;
DROP TABLE audit_ends;
DROP FUNCTION audit_refuse();
DROP FUNCTION audit_goes();
DROP FUNCTION audit_comes();
