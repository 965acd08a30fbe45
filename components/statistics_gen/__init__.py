"""StatisticsGen: statistics that compare songs and splits with each other."""
