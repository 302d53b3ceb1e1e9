"""The rules of requests that no schema can say: about numbers, Unicode, several fields, and what there is."""

import re

BEYOND = re.compile(
    r"""
      visible\ characters      # as Unicode says which these are
    | characters$              # what is left of a number without its invisible marks
    | phone\ number|digits|must\ start\ with|country
    | IP\ address|one\ subscriber|beginning\ of\ an?\ (?:E\.164|number)
    | an\ app\b|no\ app\b|the\ last\ app
    | only\ operators|for\ an\ operator's\ key
    | secret\ key | with\ a\ publishable\ key
    | duration\ such\ as      # whose bounds have several units
    | \[app\.NAME\]
    | must\ be\ before\ (?:to|now) | must\ come\ with
    | exactly\ one\ of | is\ required\ with | must\ give\ at\ most   # of several fields
    | a\ time\ before\ now | one\ of\ the\ \d*\ ?days\ before   # a day that exists, and is kept
    | next_cursor\ of    # a page that there was
    | one\ of\ at\ most   # of what there is already
    | must\ be\ a\ list\ of | must\ be\ pairs
    """,
    re.VERBOSE,
)
"""Matches such a rule, in the words of a refusal."""
