"""What goes over the HTTP API: each field's form and description are written here once.

Knows names, forms and examples; openapi.yaml is made from them. Must not know what is done with the values.
Start with `challenge.py`.
"""
