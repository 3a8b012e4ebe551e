import FeatureCore

/// The definitions that are measured.
enum Shop {
  static let source = Source(
    "clicks", topic: "clicks", key: "user_id",
    timestamp: Source.Timestamp(field: "ts", unit: .milliseconds),
    fields: [
      Source.Field("user_id", .string), Source.Field("item_id", .string), Source.Field("category", .string),
      Source.Field("event_type", .string), Source.Field("price", .double), Source.Field("quantity", .int64),
    ])

  /// Two counts and two sums over three windows.
  static let twelve = view([
    feature("clicks", .count, where: "event_type = 'click'", windows: day),
    feature("views", .count, where: "event_type = 'view'", windows: day),
    feature("spend", .sum, value: "price * quantity", where: "event_type = 'purchase'", windows: day),
    feature("items", .sum, value: "quantity", where: "event_type = 'add_to_cart'", windows: day),
  ])

  /// The same in a definitions file, of an application over a topic.
  static func twelveFile(_ name: String, topic: String, snapshotsHaveValues: Bool) -> String {
    """
    name: \(name)
    version: 1
    sources:
      clicks:
        topic: \(topic)
        key: user_id
        timestamp: { field: ts, unit: ms }
        fields: { user_id: string, item_id: string, category: string, event_type: string, price: double, quantity: int64 }
    views:
      user_activity:
        source: clicks
        entity: [user_id]
        snapshots: { values: \(snapshotsHaveValues) }
        features:
          clicks: { aggregate: count, where: "event_type = 'click'", windows: [1h, 24h, 7d] }
          views: { aggregate: count, where: "event_type = 'view'", windows: [1h, 24h, 7d] }
          spend: { aggregate: sum, value: "price * quantity", where: "event_type = 'purchase'", windows: [1h, 24h, 7d] }
          items: { aggregate: sum, value: quantity, where: "event_type = 'add_to_cart'", windows: [1h, 24h, 7d] }
    """
  }

  /// Twenty features of many kinds, two of them derived.
  static let twenty = view([
    feature("clicks", .count, where: "event_type = 'click'", windows: day),
    feature("views", .count, where: "event_type = 'view'", windows: [.last("24h")]),
    feature("purchases", .count, where: "event_type = 'purchase'", windows: month),
    feature("spend", .sum, value: "price * quantity", where: "event_type = 'purchase'", windows: month),
    feature("price", .mean, value: "price", where: "event_type = 'view'", windows: [.last("7d")]),
    feature("highest", .max, value: "price", where: "event_type = 'view'", windows: [.last("30d")]),
    feature("items", .countDistinct, value: "item_id", where: "event_type = 'view'", windows: [.last("7d")]),
    feature(
      "last_items", .lastK, value: "item_id", where: "event_type = 'view'", windows: [.last("7d")], k: 5),
    feature("last_seen", .secondsSinceLast, windows: [.lifetime]),
    feature("heat", .decayedCount, windows: [.lifetime], halfLife: 7 * 86_400_000_000),
    feature("visits", .count, windows: [.last("30d"), .lifetime]),
    Feature("ctr", .derive("clicks_24h / nullif(views_24h, 0)")),
    Feature("basket", .derive("spend_30d / nullif(purchases_30d, 0)")),
  ])

  /// Every aggregate function by itself over everything: a state of one tile.
  static let aggregates: [(name: String, view: Feature)] = [
    ("count", feature("f", .count, windows: [.lifetime])),
    ("sum of int64", feature("f", .sum, value: "quantity", windows: [.lifetime])),
    ("sum of double", feature("f", .sum, value: "price", windows: [.lifetime])),
    ("mean", feature("f", .mean, value: "price", windows: [.lifetime])),
    ("min", feature("f", .min, value: "price", windows: [.lifetime])),
    ("max of string", feature("f", .max, value: "item_id", windows: [.lifetime])),
    ("stddev", feature("f", .stddev, value: "price", windows: [.lifetime])),
    ("first", feature("f", .first, value: "price", windows: [.lifetime])),
    ("last of string", feature("f", .last, value: "item_id", windows: [.lifetime])),
    ("last_k of string, k = 5", feature("f", .lastK, value: "item_id", windows: [.lifetime], k: 5)),
    ("count_distinct", feature("f", .countDistinct, value: "item_id", windows: [.lifetime])),
    ("approx_quantile", feature("f", .approxQuantile, value: "price", windows: [.lifetime], q: 0.95)),
    ("top_k of string, k = 5", feature("f", .topK, value: "item_id", windows: [.lifetime], k: 5)),
    (
      "histogram, 5 buckets",
      feature(
        "f", .histogram, value: "price", windows: [.lifetime],
        buckets: [.int64(5), .int64(20), .int64(50), .int64(200)])
    ),
    (
      "decayed_sum", feature("f", .decayedSum, value: "price", windows: [.lifetime], halfLife: 86_400_000_000)
    ),
    ("seconds_since_last", feature("f", .secondsSinceLast, windows: [.lifetime])),
  ]

  private static let day: [Window] = [.last("1h"), .last("24h"), .last("7d")]
  private static let month: [Window] = [.last("24h"), .last("30d"), .lifetime]

  /// A plan of one view.
  static func plan(_ view: View, source: Source = Shop.source) -> Plan {
    do {
      return try Plan(Definitions(name: "bench", sources: [source], views: [view]))
    } catch {
      fatalError("Cannot compile the benchmark's definitions: \(error)")
    }
  }

  /// The source with its events' ids, told apart.
  static func source(duplicatesWithin within: Int64) -> SourcePlan {
    var source = Shop.source
    source.fields.insert(Source.Field("event_id", .string), at: 0)
    source.duplicates = Source.Duplicates(by: "event_id", within: within)
    return plan(view([feature("clicks", .count, windows: day)]), source: source).sources[0]
  }

  static func view(_ features: [Feature]) -> View {
    View("user_activity", source: "clicks", entity: ["user_id"], features: features)
  }

  private static func feature(
    _ name: String, _ function: Aggregate.Function, value: String? = nil, where filter: String? = nil,
    windows: [Window], k: Int? = nil, q: Double? = nil, halfLife: Int64? = nil, buckets: [Literal]? = nil
  ) -> Feature {
    Feature(
      name,
      .aggregate(
        Aggregate(
          function, value: value, where: filter, windows: windows, k: k, q: q, halfLife: halfLife,
          buckets: buckets)))
  }
}
