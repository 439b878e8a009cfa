"""Words that people and column names use for the same thing."""

from __future__ import annotations

ABBREVIATIONS: dict[str, str] = {
    "dep": "departure", "arr": "arrival", "dest": "destination", "orig": "origin", "sched": "scheduled",
    "temp": "temperature", "humid": "humidity", "precip": "precipitation", "visib": "visibility", "dewp": "dewpoint",
    "lat": "latitude", "lon": "longitude", "lng": "longitude", "alt": "altitude", "qty": "quantity", "amt": "amount",
    "avg": "average", "num": "number", "nbr": "number", "cnt": "count", "dt": "date", "ts": "timestamp", "yr": "year",
    "mon": "month", "mth": "month", "wk": "week", "hr": "hour", "hrs": "hours", "cust": "customer", "prod": "product",
    "cat": "category", "addr": "address", "emp": "employee", "dept": "department", "pct": "percent", "perc": "percent",
    "rev": "revenue", "desc": "description", "acct": "account", "mgr": "manager", "inv": "invoice", "ord": "order",
    "val": "value", "wt": "weight", "ht": "height", "dist": "distance", "dur": "duration", "pop": "population",
    "tx": "transaction", "txn": "transaction", "sal": "salary", "sex": "gender", "dob": "birth", "ctry": "country",
    "mpg": "mileage", "hp": "horsepower", "disc": "discount", "cyl": "cylinders", "edu": "education",
}  # fmt: skip

SYNONYMS: tuple[frozenset[str], ...] = tuple(
    frozenset(group.split())
    for group in (
        "carrier airline",
        "delay late lateness delayed tardy",
        "revenue sale turnover income",
        "price cost",
        "customer client buyer",
        "product item article",
        "salary wage pay income earning compensation",
        "employee staff worker",
        "temperature heat cold warm",
        "rain precipitation rainfall",
        "gender sex",
        "region area district territory",
        "country nation",
        "city town",
        "rating score star",
        "weight mass",
        "speed velocity",
        "quantity unit volume",
        "profit margin",
        "department division",
        "vendor supplier",
        "store shop branch outlet",
        "date day time",
        "destination airport",
        "plane aircraft",
        "duration length",
        "category type class kind",
        "student pupil",
        "mark grade score",
        "mileage consumption economy",
    )
)

TOPICS: dict[str, frozenset[str]] = {
    "weather": frozenset(
        "temperature dewpoint humidity wind gust precipitation rain snow pressure visibility cloud sun sunshine".split()
    ),
    "location": frozenset("city country state region latitude longitude address postcode".split()),
    "demographic": frozenset("age gender education marital ethnicity occupation".split()),
}

CHINESE: tuple[tuple[str, str], ...] = (
    ("航空公司", " carrier "), ("承运人", " carrier "), ("起飞", " departure "), ("出发", " departure "), ("到达", " arrival "),
    ("延误", " delay "), ("晚点", " delay "), ("天气", " weather "), ("气温", " temperature "), ("温度", " temperature "),
    ("湿度", " humidity "), ("降水", " precipitation "), ("能见度", " visibility "), ("风速", " wind speed "), ("气压", " pressure "),
    ("航班", " flights "), ("机场", " airport "), ("目的地", " destination "), ("距离", " distance "), ("销售额", " sales "),
    ("销售", " sales "), ("收入", " revenue "), ("利润", " profit "), ("价格", " price "), ("数量", " quantity "), ("地区", " region "),
    ("区域", " region "), ("城市", " city "), ("国家", " country "), ("客户", " customer "), ("产品", " product "), ("商品", " product "),
    ("订单", " order "), ("类别", " category "), ("部门", " department "), ("工资", " salary "), ("薪水", " salary "), ("员工", " employee "),
    ("年龄", " age "), ("性别", " gender "), ("评分", " rating "), ("平均", " average "), ("总和", " total "), ("总", " total "), ("合计", " total "),
    ("中位数", " median "), ("最高", " highest "), ("最大", " highest "), ("最多", " most "), ("最低", " lowest "), ("最小", " lowest "),
    ("多少", " how many "), ("几个", " how many "), ("如何", " how "), ("怎样", " how "), ("影响", " affect "), ("驱动", " drive "),
    ("导致", " drive "), ("为什么", " why "), ("因素", " factors "), ("趋势", " trend "), ("随时间", " over time "), ("关系", " relationship "),
    ("相关", " correlation "), ("比较", " compare "), ("分布", " distribution "), ("每月", " monthly "), ("每个", " by "), ("每天", " daily "),
    ("每年", " yearly "), ("每", " by "), ("各", " by "), ("按", " by "), ("前", " top "), ("月份", " month "), ("日期", " date "), ("时间", " time "),
    ("小时", " hour "), ("年份", " year "), ("和", " and "), ("与", " and "), ("的", " "), ("？", " "), ("，", " , "), ("。", " "),
)  # fmt: skip

NUMBER_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "dozen": 12, "twenty": 20, "hundred": 100, "一": 1, "两": 2, "三": 3, "五": 5, "十": 10,
}  # fmt: skip

MONTHS = ("january february march april may june july august september october november december").split()
WEEKDAYS = ("monday tuesday wednesday thursday friday saturday sunday").split()

STOP_WORDS = frozenset(
    """a an and are as at be been being but by can could did do does each every for from had has have how i if in into is
    it its me my of on or our over per please s show t than that the their them then there these they this those to us was
    we were what when where which while who why will with would you your about across after all also among any before
    between both during except further give tell find get let list look make much need see say using use used via want
    whether within without data dataset datasets file files table tables column columns row rows analysis analyse analyze
    report chart plot graph draw explain describe summarise summarize summary overview insight insights question answer
    average mean median total sum top bottom highest lowest best worst most least largest smallest biggest greatest maximum
    minimum max min many number count counts compare comparison vs versus relationship relation correlation correlate
    correlated related trend trends time distribution distributed drive drives driver drivers driven affect affects affected
    influence influences influenced impact impacts effect effects cause causes caused depend depends factor factors predict
    predicts determine determines matter matters first last more less fewer greater higher lower above below under equal
    equals exactly least different distinct unique percentage percent share proportion rate grouped group groups broken
    down breakdown changed change changes develop developed evolve daily weekly monthly yearly hourly annual annually
    quarterly day days week weeks month months year years hour hours minute minutes minutes' main important strongest role
    per-day general profile any anything interesting quality check explore please now same again only just not no other
    """.split()
)
