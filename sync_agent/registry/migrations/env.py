"""What Alembic runs around the steps: on the connection it is given, in the transaction that is open there."""

from alembic import context

from sync_agent.registry.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
