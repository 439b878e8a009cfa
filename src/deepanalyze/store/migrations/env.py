"""Alembic's entry. The store passes its own connection, so there is no alembic.ini and no logging is configured."""

from alembic import context

from deepanalyze.store.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
