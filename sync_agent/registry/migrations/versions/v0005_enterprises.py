"""Enterprises, their people, licences, projects and credit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

UTC = sa.DateTime(timezone=True)
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Take the step."""
    op.add_column("record", sa.Column("gaps", JSON, nullable=True))
    op.add_column("review_case", sa.Column("uscc", sa.String(length=18), nullable=True))
    op.create_table(
        "project",
        sa.Column("code", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("begun", sa.Date(), nullable=True),
        sa.Column("completed", sa.Date(), nullable=True),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_project")),
    )
    op.create_table(
        "qualification_line",
        sa.Column("line", sa.String(length=64), nullable=False),
        sa.Column("grade", sa.String(length=64), nullable=False),
        sa.Column("family", sa.String(length=32), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("line", "grade", name=op.f("pk_qualification_line")),
    )
    op.create_table(
        "qualification_requirement",
        sa.Column("id", ID, nullable=False),
        sa.Column("line", sa.String(length=64), nullable=False),
        sa.Column("grade", sa.String(length=64), nullable=False),
        sa.Column("employment", sa.String(length=32), nullable=False),
        sa.Column("specialty", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qualification_requirement")),
        sa.UniqueConstraint(
            "line", "grade", "employment", "specialty", name=op.f("uq_qualification_requirement_line_grade_employment_specialty")
        ),
    )
    op.create_table(
        "abnormal_flag",
        sa.Column("id", ID, nullable=False),
        sa.Column("person_id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("raised_by", sa.String(length=32), nullable=False),
        sa.Column("raised_at", UTC, nullable=False),
        sa.Column("cleared_at", UTC, nullable=True),
        sa.Column("cleared_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_abnormal_flag_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_abnormal_flag")),
    )
    op.create_index(
        "uq_abnormal_flag_open",
        "abnormal_flag",
        ["person_id", "code", "uscc"],
        unique=True,
        sqlite_where=sa.text("cleared_at IS NULL"),
        postgresql_where=sa.text("cleared_at IS NULL"),
    )
    op.create_table(
        "bid_lock",
        sa.Column("id", ID, nullable=False),
        sa.Column("tender", sa.String(length=64), nullable=False),
        sa.Column("person_id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("tender_name", sa.String(length=300), nullable=False),
        sa.Column("locked_at", UTC, nullable=True),
        sa.Column("publicity_ends", sa.Date(), nullable=True),
        sa.Column("released_at", UTC, nullable=True),
        sa.Column("release", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_bid_lock_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bid_lock")),
        sa.UniqueConstraint("tender", "person_id", name=op.f("uq_bid_lock_tender_person_id")),
    )
    op.create_index(op.f("ix_bid_lock_person_id"), "bid_lock", ["person_id"], unique=False)
    op.create_index(op.f("ix_bid_lock_publicity_ends"), "bid_lock", ["publicity_ends"], unique=False)
    op.create_table(
        "certificate",
        sa.Column("id", ID, nullable=False),
        sa.Column("person_id", ID, nullable=False),
        sa.Column("family", sa.String(length=32), nullable=False),
        sa.Column("number", sa.LargeBinary(), nullable=False),
        sa.Column("number_index", sa.String(length=64), nullable=False),
        sa.Column("specialty", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_certificate_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate")),
        sa.UniqueConstraint("person_id", "family", "number_index", name=op.f("uq_certificate_person_id_family_number_index")),
    )
    op.create_index(op.f("ix_certificate_valid_until"), "certificate", ["valid_until"], unique=False)
    op.create_table(
        "enterprise",
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("division", sa.String(length=6), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("region_reason", sa.String(length=200), nullable=False),
        sa.Column("legal_rep_person_id", ID, nullable=True),
        sa.Column("legal_rep_is_named", sa.Boolean(), nullable=False),
        sa.Column("legal_rep_status", sa.String(length=32), nullable=False),
        sa.Column("legal_rep_fails", sa.Integer(), nullable=False),
        sa.Column("legal_rep_at", UTC, nullable=True),
        sa.Column("activity_kinds", JSON, nullable=False),
        sa.Column("profile", sa.Integer(), nullable=False),
        sa.Column("filing_complete_at", UTC, nullable=True),
        sa.Column("frozen_at", UTC, nullable=True),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["legal_rep_person_id"], ["person.id"], name=op.f("fk_enterprise_legal_rep_person_id")),
        sa.PrimaryKeyConstraint("uscc", name=op.f("pk_enterprise")),
    )
    op.create_table(
        "account",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("person_id", ID, nullable=True),
        sa.Column("assurance", sa.String(length=32), nullable=False),
        sa.Column("asserted_at", UTC, nullable=False),
        sa.Column("frozen_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_account_person_id")),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_account_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
    )
    op.create_table(
        "admin_notice",
        sa.Column("id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("issued", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("read_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_admin_notice_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_notice")),
        sa.UniqueConstraint("source", "key", name=op.f("uq_admin_notice_source_key")),
    )
    op.create_index(op.f("ix_admin_notice_uscc_issued"), "admin_notice", ["uscc", "issued"], unique=False)
    op.create_table(
        "business_reg_change",
        sa.Column("id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("item", sa.String(length=32), nullable=False),
        sa.Column("old", sa.LargeBinary(), nullable=False),
        sa.Column("new", sa.LargeBinary(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("seen_at", UTC, nullable=False),
        sa.Column("decided_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_business_reg_change_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_business_reg_change")),
        sa.UniqueConstraint("uscc", "source", "key", name=op.f("uq_business_reg_change_uscc_source_key")),
    )
    op.create_index(op.f("ix_business_reg_change_uscc_state"), "business_reg_change", ["uscc", "state"], unique=False)
    op.create_table(
        "construction_permit",
        sa.Column("number", sa.String(length=50), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("project_code", sa.String(length=50), nullable=False),
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("issued", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_construction_permit_uscc")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_construction_permit")),
    )
    op.create_index(op.f("ix_construction_permit_uscc"), "construction_permit", ["uscc"], unique=False)
    op.create_table(
        "credit_record",
        sa.Column("id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=True),
        sa.Column("person_id", ID, nullable=True),
        sa.Column("is_bonus", sa.Boolean(), nullable=False),
        sa.Column("title", sa.LargeBinary(), nullable=False),
        sa.Column("points", sa.Double(), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_credit_record_person_id")),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_credit_record_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_record")),
        sa.UniqueConstraint("source", "key", name=op.f("uq_credit_record_source_key")),
    )
    op.create_index(op.f("ix_credit_record_person_id"), "credit_record", ["person_id"], unique=False)
    op.create_index(op.f("ix_credit_record_uscc"), "credit_record", ["uscc"], unique=False)
    op.create_table(
        "performance",
        sa.Column("id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("project_code", sa.String(length=50), nullable=False),
        sa.Column("project_name", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("begun", sa.Date(), nullable=True),
        sa.Column("completed", sa.Date(), nullable=True),
        sa.Column("automatic_at", UTC, nullable=True),
        sa.Column("makeup_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_performance_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performance")),
        sa.UniqueConstraint("uscc", "project_code", "kind", name=op.f("uq_performance_uscc_project_code_kind")),
    )
    op.create_table(
        "person_employment",
        sa.Column("id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("person_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("in_library_at", UTC, nullable=True),
        sa.Column("work_type", sa.String(length=4), nullable=False),
        sa.Column("fails", sa.Integer(), nullable=False),
        sa.Column("seen_at", UTC, nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.CheckConstraint(
            "status <> 'in-library' OR in_library_at IS NOT NULL", name=op.f("ck_person_employment_in_library_since")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_person_employment_person_id")),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_person_employment_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_employment")),
        sa.UniqueConstraint("uscc", "person_id", "kind", name=op.f("uq_person_employment_uscc_person_id_kind")),
    )
    op.create_index(op.f("ix_person_employment_person_id"), "person_employment", ["person_id"], unique=False)
    op.create_index(op.f("ix_person_employment_uscc_status"), "person_employment", ["uscc", "status"], unique=False)
    op.create_table(
        "project_participant",
        sa.Column("code", sa.String(length=50), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["code"], ["project.code"], name=op.f("fk_project_participant_code")),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_project_participant_uscc")),
        sa.PrimaryKeyConstraint("code", "uscc", "role", name=op.f("pk_project_participant")),
    )
    op.create_index(op.f("ix_project_participant_uscc"), "project_participant", ["uscc"], unique=False)
    op.create_table(
        "qualification",
        sa.Column("id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("number", sa.String(length=50), nullable=False),
        sa.Column("line", sa.String(length=64), nullable=False),
        sa.Column("grade", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("cancelled_at", UTC, nullable=True),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_qualification_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qualification")),
        sa.UniqueConstraint("uscc", "number", name=op.f("uq_qualification_uscc_number")),
    )
    op.create_table(
        "credit_claim",
        sa.Column("id", ID, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("person_id", ID, nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("credit_id", ID, nullable=True),
        sa.Column("at", UTC, nullable=False),
        sa.Column("decided_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["credit_id"], ["credit_record.id"], name=op.f("fk_credit_claim_credit_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_credit_claim_person_id")),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_credit_claim_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_credit_claim_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_claim")),
        sa.UniqueConstraint("record_id", name=op.f("uq_credit_claim_record_id")),
    )
    op.create_table(
        "enterprise_profile",
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=True),
        sa.Column("at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_enterprise_profile_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_enterprise_profile_uscc")),
        sa.PrimaryKeyConstraint("uscc", "version", name=op.f("pk_enterprise_profile")),
    )
    op.create_table(
        "makeup_entry",
        sa.Column("id", ID, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("project_code", sa.String(length=50), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("is_duplicate", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("performance_id", ID, nullable=True),
        sa.Column("at", UTC, nullable=False),
        sa.Column("decided_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(["performance_id"], ["performance.id"], name=op.f("fk_makeup_entry_performance_id")),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_makeup_entry_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_makeup_entry_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_makeup_entry")),
        sa.UniqueConstraint("record_id", name=op.f("uq_makeup_entry_record_id")),
    )
    op.create_table(
        "qualification_request",
        sa.Column("id", ID, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("line", sa.String(length=64), nullable=False),
        sa.Column("grade", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("decided_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_qualification_request_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_qualification_request_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qualification_request")),
        sa.UniqueConstraint("record_id", name=op.f("uq_qualification_request_record_id")),
    )
    op.create_index(op.f("ix_qualification_request_uscc_state"), "qualification_request", ["uscc", "state"], unique=False)
    op.create_table(
        "qualification_submission",
        sa.Column("id", ID, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("line", sa.String(length=64), nullable=False),
        sa.Column("grade", sa.String(length=64), nullable=False),
        sa.Column("technical_lead_id", ID, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("decided_at", UTC, nullable=True),
        sa.ForeignKeyConstraint(
            ["record_id"],
            ["record.id"],
            name=op.f("fk_qualification_submission_record_id"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(["technical_lead_id"], ["person.id"], name=op.f("fk_qualification_submission_technical_lead_id")),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_qualification_submission_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qualification_submission")),
        sa.UniqueConstraint("record_id", name=op.f("uq_qualification_submission_record_id")),
    )
    op.create_index(op.f("ix_qualification_submission_uscc_state"), "qualification_submission", ["uscc", "state"], unique=False)
    op.create_table(
        "safety_permit",
        sa.Column("id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("number", sa.String(length=50), nullable=False),
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=True),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("warned", sa.Integer(), nullable=True),
        sa.Column("at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_safety_permit_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_safety_permit_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_safety_permit")),
        sa.UniqueConstraint("uscc", "number", name=op.f("uq_safety_permit_uscc_number")),
    )
    op.create_index(op.f("ix_safety_permit_valid_until"), "safety_permit", ["valid_until"], unique=False)
    op.create_table(
        "submission_document",
        sa.Column("id", ID, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("media", sa.String(length=32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("scan", sa.String(length=32), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_submission_document_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submission_document")),
        sa.UniqueConstraint("record_id", "digest", name=op.f("uq_submission_document_record_id_digest")),
    )
    op.create_index(op.f("ix_submission_document_scan"), "submission_document", ["scan"], unique=False)
    op.create_table(
        "document_piece",
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("device_id", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_document_piece_device_id")),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_document_piece_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_document_piece")),
    )
    op.create_index(op.f("ix_document_piece_at"), "document_piece", ["at"], unique=False)
    op.create_index(op.f("ix_document_piece_device_id_digest"), "document_piece", ["device_id", "digest"], unique=False)
    op.create_table(
        "verification_chain",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("legal_rep_person_id", ID, nullable=True),
        sa.Column("agent_person_id", ID, nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["agent_person_id"], ["person.id"], name=op.f("fk_verification_chain_agent_person_id")),
        sa.ForeignKeyConstraint(["legal_rep_person_id"], ["person.id"], name=op.f("fk_verification_chain_legal_rep_person_id")),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_verification_chain_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_verification_chain_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verification_chain")),
        sa.UniqueConstraint("record_id", name=op.f("uq_verification_chain_record_id")),
    )
    op.create_table(
        "verify_ticket",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=63), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=True),
        sa.Column("person_id", ID, nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("issued_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_verify_ticket_device_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_verify_ticket_person_id")),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_verify_ticket_record_id"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verify_ticket")),
    )
    op.create_table(
        "agent",
        sa.Column("id", ID, nullable=False),
        sa.Column("uscc", sa.String(length=18), nullable=False),
        sa.Column("person_id", ID, nullable=False),
        sa.Column("legal_rep_person_id", ID, nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("chain_id", sa.String(length=64), nullable=False),
        sa.Column("contact", sa.LargeBinary(), nullable=True),
        sa.Column("letter", sa.String(length=64), nullable=True),
        sa.Column("began_at", UTC, nullable=True),
        sa.Column("ended_at", UTC, nullable=True),
        sa.Column("end_reason", sa.String(length=64), nullable=False),
        sa.CheckConstraint("status <> 'active' OR began_at IS NOT NULL", name=op.f("ck_agent_in_office_since")),
        sa.CheckConstraint("status <> 'active' OR person_id <> legal_rep_person_id", name=op.f("ck_agent_is_not_the_legal_rep")),
        sa.ForeignKeyConstraint(["chain_id"], ["verification_chain.id"], name=op.f("fk_agent_chain_id")),
        sa.ForeignKeyConstraint(["legal_rep_person_id"], ["person.id"], name=op.f("fk_agent_legal_rep_person_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_agent_person_id")),
        sa.ForeignKeyConstraint(["uscc"], ["enterprise.uscc"], name=op.f("fk_agent_uscc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent")),
        sa.UniqueConstraint("chain_id", name=op.f("uq_agent_chain_id")),
    )
    op.create_index(op.f("ix_agent_uscc_status"), "agent", ["uscc", "status"], unique=False)
    op.create_index(
        "uq_agent_in_office",
        "agent",
        ["uscc"],
        unique=True,
        sqlite_where=sa.text("status = 'active'"),
        postgresql_where=sa.text("status = 'active'"),
    )


def downgrade() -> None:
    """Take it back; what these tables hold is lost."""
    for table in (
        "agent",
        "verify_ticket",
        "verification_chain",
        "document_piece",
        "submission_document",
        "safety_permit",
        "qualification_submission",
        "qualification_request",
        "makeup_entry",
        "enterprise_profile",
        "credit_claim",
        "qualification",
        "project_participant",
        "person_employment",
        "performance",
        "credit_record",
        "construction_permit",
        "business_reg_change",
        "admin_notice",
        "account",
        "enterprise",
        "certificate",
        "bid_lock",
        "abnormal_flag",
        "qualification_requirement",
        "qualification_line",
        "project",
    ):
        op.drop_table(table)
    op.drop_column("review_case", "uscc")
    op.drop_column("record", "gaps")
