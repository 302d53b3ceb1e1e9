"""What goes over the HTTP API: each field's form and description stand here once.

openapi.yaml is made from these. Must not know what is done with the values. Start with `challenge.py`.
"""
