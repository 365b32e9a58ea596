"""What the model looks at: every column can be known an hour before departure.

Plain functions, used by the notebook (and the pipeline made of it) to train and by whoever asks for a prediction, so
that both see the same.
"""

import pandas as pd

CATEGORIES = ["carrier", "origin", "dest"]
TIMETABLE = ["weekday", "departs", "block_minutes", "distance"]
PLANE = ["age", "seats"]
WEATHER = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
FEATURES = [*CATEGORIES, *TIMETABLE, *PLANE, *WEATHER]

# No wind that planes take off in is faster; the station at Newark once reported 1,048 miles an hour.
WIND_MPH_MAX = 200


def known_before_departure(flights: pd.DataFrame) -> pd.DataFrame:
    """The flights with the model's columns added; numbers that are missing stay missing."""
    return flights.assign(
        weekday=flights["local_date"].dt.day_of_week.astype("int64"),
        # by local clocks on both ends, so a flight west looks shorter: the timetable says no more
        block_minutes=(flights["arrives"] - flights["departs"]) % (24 * 60),
        age=flights["local_date"].dt.year - flights["built"],
        seats=flights["seats"].astype("float64"),
        wind_speed=flights["wind_speed"].where(flights["wind_speed"] <= WIND_MPH_MAX),
    )
