"""Names of organizations and addresses of users, from the app's own tables."""

ORGANIZATION_NAMES = "SELECT id, name FROM organizations WHERE id = ANY(:ids)"
"""What organizations are called."""

USER_EMAILS = "SELECT id, email AS name FROM AUTH_USERS WHERE id = ANY(:ids)"
"""The addresses by which users sign in."""

ORGANIZATIONS_NAMED = "SELECT id FROM organizations WHERE lower(name) LIKE lower(:text) ESCAPE '!' LIMIT :limit"
"""Organizations with the text in their name."""

USERS_NAMED = "SELECT id FROM AUTH_USERS WHERE lower(email) LIKE lower(:text) ESCAPE '!' LIMIT :limit"
"""Users with the text in their address."""
