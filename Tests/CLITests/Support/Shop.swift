/// A small world for the command line: definitions, events, and what is wrong with some of them.
enum Shop {
  static let definitions = """
    name: shop
    sources:
      clicks:
        topic: clicks
        key: user
        timestamp: { field: ts, unit: ms }
        fields: { user: string, item: string, price: double, n: int64 }
    views:
      users:
        source: clicks
        entity: [user]
        features:
          clicks: { aggregate: count, windows: [1h, lifetime] }
          spend:  { aggregate: sum, value: price, windows: [24h] }
          items:  { aggregate: last_k, k: 3, value: item, windows: [7d] }
      pairs:
        source: clicks
        entity: [user, n]
        where: n is not null
        features:
          clicks: { aggregate: count, windows: [1h] }
    """

  /// Two sources, of which each has a view.
  static let twoSources = """
    name: shop
    sources:
      clicks: { topic: clicks, timestamp: { field: ts, unit: ms }, fields: { user: string } }
      orders: { topic: orders, timestamp: { field: at, unit: rfc3339 }, fields: { user: string } }
      idle:   { topic: idle, timestamp: { field: at, unit: s }, fields: { user: string } }
    views:
      users:  { source: clicks, entity: [user], features: { clicks: { aggregate: count, windows: 1h } } }
      buyers: { source: orders, entity: [user], features: { orders: { aggregate: count, windows: 1h } } }
    """

  static let events = """
    {"ts":1700000000000,"user":"a","item":"x","price":1.5,"n":1}
    {"ts":1700000060000,"user":"b","item":"y","price":null,"n":2}
    {"ts":1700000120000,"user":"a","item":"z","price":2}

    """
}
