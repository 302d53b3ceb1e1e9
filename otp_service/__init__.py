"""Self-hosted service that proves a person holds a phone number."""
