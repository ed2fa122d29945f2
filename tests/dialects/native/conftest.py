"""Every test of the native door may ask for a `site`."""

from __future__ import annotations

from tests.support.site import site as site
