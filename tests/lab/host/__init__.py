"""Host side of the lab: gets the trees, builds, boots guests, reports."""
