"""`creditledger scorecard`: fitting, checking, explaining and trying scorecards."""
