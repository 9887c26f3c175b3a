-- What support asks for: which meetings a tenant had.

-- A tenant's meetings, newest first. One entry a meeting: the other rows of decision, the joins, do not touch it.
CREATE INDEX decision_created ON decision (tenant, meeting) WHERE seq = 1;
-- The same of those whose quality is known.
CREATE INDEX meeting_quality_tenant ON meeting_quality (tenant, meeting);
