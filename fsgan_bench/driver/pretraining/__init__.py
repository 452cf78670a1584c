"""Source models of one's own: trained adversarially, or, where attributes are known, in stages."""
