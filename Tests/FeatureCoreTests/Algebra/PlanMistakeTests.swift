import Testing

@testable import FeatureCore

/// Broken definitions and every word of what is said about them.
@Suite struct PlanMistakeTests {
  private func mistakes(_ change: (inout Definitions) -> Void) -> String {
    var definitions = Definitions(
      name: "shop",
      sources: [
        Source(
          "clicks", topic: "clicks", key: "user", timestamp: .init(field: "ts", unit: .milliseconds),
          fields: [.init("user", .string), .init("price", .double), .init("n", .int64), .init("b", .bool)])
      ],
      views: [
        View("activity", source: "clicks", entity: ["user"], features: [Self.count("clicks", [.last("1h")])])
      ])
    change(&definitions)
    do {
      _ = try Plan(definitions)
      return "nothing"
    } catch {
      return error.description
    }
  }

  private func expect(_ found: String, _ expected: String) { #expect(found == expected) }

  static func count(_ name: String, _ windows: [Window]) -> Feature {
    Feature(name, .aggregate(Aggregate(.count, windows: windows)))
  }

  /// The latest texts of users; broken without a k.
  static func last(_ k: Int) -> Feature {
    Feature("l", .aggregate(Aggregate(.lastK, value: "user", windows: [.last("1h")], k: k)))
  }

  private func feature(
    _ function: Aggregate.Function, _ value: String? = nil, label: String? = nil,
    where filter: String? = nil, windows: [Window] = [.last("1h")], k: Int? = nil, q: Double? = nil,
    halfLife: Int64? = nil,
    buckets: [Literal]? = nil, baseline: Baseline? = nil, default fallback: Literal? = nil
  ) -> String {
    let aggregate = Aggregate(
      function, value: value, label: label, where: filter, windows: windows, k: k, q: q, halfLife: halfLife,
      buckets: buckets, baseline: baseline)
    let text = mistakes { $0.views[0].features = [Feature("x", .aggregate(aggregate), default: fallback)] }
    return text.replacing("views.activity.features.", with: "")
  }

  private func expectBaselines() {
    let edges = Baseline(.edges([1, 2]), counts: [3, 4, 5])
    expect(
      feature(.psi, "price"),
      "x: psi needs 'baseline' (name a file that 'plumb baseline' has written, or write { edges: [...], counts: [...] })"
    )
    expect(feature(.psi, baseline: edges), "x: psi needs 'value' (add 'value': a field or an expression)")
    expect(feature(.sum, "price", baseline: edges), "x.baseline: sum takes no 'baseline' (remove it)")
    expect(
      feature(.js, "user", baseline: edges),
      "x.baseline: the baseline has edges, the value is a string (compare numbers, or CAST the value)")
    expect(
      feature(.js, "n", baseline: Baseline(.categories(["a"]), counts: [1, 2])),
      "x.baseline: the baseline has categories, the value is a double (compare texts, or CAST the value)")
    expect(
      feature(.psi, "price", baseline: Baseline(.edges([2, 1]), counts: [3, 4, 5])),
      "x.baseline.edges: the baseline's edges do not ascend (sort them and remove doubles)")
    expect(
      feature(.psi, "price", baseline: Baseline(.edges([1, .nan]), counts: [3, 4, 5])),
      "x.baseline.edges: the baseline's edges do not ascend (sort them and remove doubles)")
    expect(
      feature(.psi, "user", baseline: Baseline(.categories(["a", "a"]), counts: [3, 4, 5])),
      "x.baseline.categories: a category of the baseline is named twice (remove one)")
    expect(
      feature(.psi, "price", baseline: Baseline(.edges([]), counts: [3])),
      "x.baseline.edges: the baseline has 0 edges (use 1 to 50)")
    expect(
      feature(.psi, "price", baseline: Baseline(.edges([1]), counts: [3])),
      "x.baseline.counts: the baseline has 1 edges and 1 counts (write 2 counts: one more than edges)")
    for counts in [[-1, 4], [.max, 4]] as [[Int64]] {
      expect(
        feature(.psi, "price", baseline: Baseline(.edges([1]), counts: counts)),
        "x.baseline.counts: a count of the baseline is out of range (count rows: 0 or more)")
    }
    expect(
      feature(.psi, "price", baseline: Baseline(.edges([1]), counts: [0, 0])),
      "x.baseline.counts: the baseline has no rows (count those that the model was trained on)")
    expect(feature(.nullShare, "b"), "nothing")
    expect(feature(.psi, "b", baseline: Baseline(.categories(["true"]), counts: [1, 2])), "nothing")
    expect(feature(.psi, "n", baseline: edges), "nothing")
  }

  @Test(
    arguments: [
      ("user.id", nil, "a field named 'user.id' would never be there"),
      ("x", "$.user.id", "'$.user.id' begins like JSONPath"),
      ("x", "user.", "'user.' is no path"), ("x", "n", "'x' and 'n' are read from the same place, n"),
      ("x", "n.a", "n is read whole, and n.a is a part of it"),
      ("x", "a[20000]", "the path goes beyond element 9999"),
      ("x", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", "the path has 17 steps"),
    ] as [(String, String?, String)])
  func pathsOfFields(_ name: String, _ path: String?, _ expected: String) {
    let found = mistakes { $0.sources[0].fields.append(.init(name, .int64, path: path)) }
    #expect(found.contains(expected), "\(found)")
  }

  @Test func spellingsOfFields() {
    func found(_ field: Source.Field) -> String { mistakes { $0.sources[0].fields.append(field) } }
    #expect(found(.init("x", .string, isText: true)).contains("a string is always text"))
    #expect(found(.init("x", .timestamp, unit: .text, isText: true)).contains("is always text"))
    #expect(found(.init("x", .timestamp, unit: .seconds, zone: "UTC")).contains("only texts can lack a zone"))
    #expect(found(.init("x", .timestamp, unit: .text, zone: "Mars")).contains("there is no time zone 'Mars'"))
    #expect(found(.record("x", .timestamp, .int64)).contains("the record's timestamp is no int64"))
    #expect(found(.record("x", .key, .double)).contains("the record's key can't be a double"))
    #expect(found(.header("x", "", .double)).contains("fields.x.header: a header's name is empty"))
    var both = Source.Field.header("x", "h", .string)
    both.path = "y"
    #expect(found(both).contains("a header is no part of the value, the key or the timestamp"))
    #expect(found(.header("x", "h", .bool)) == "nothing")
    #expect(
      found(.computed("x", "lower(nn)")).contains("sources.clicks.fields.x.compute: column \"nn\" is unknown")
    )
    #expect(found(.computed("x", "x + 1")).contains("which depends on it in turn"))
    #expect(mistakes { $0.sources[0].each = "n" }.contains("'n' and '' are") == false)
    let part = mistakes {
      $0.sources[0].fields.append(.init("p", .int64, path: "parts.p"))
      $0.sources[0].fields.append(.init("q", .int64, path: "parts[0].q"))
    }
    #expect(part.contains("parts[0].q takes for an object what parts.p takes for an array, or the reverse"))
  }

  @Test func namesAndSources() {
    expect(
      mistakes { $0.name = "my shop" },
      """
      name: 'my shop' is not a name (use 1 to 64 letters, digits and '_', not a digit first)
      """)
    expect(
      mistakes { $0.name = "" },
      """
      name: the name is empty (use 1 to 64 letters, digits and '_', not a digit first)
      """)
    expect(
      mistakes { $0.version = 0 },
      """
      version: the version is 0 (use 1 or more)
      """)
    expect(
      mistakes { $0.sources = [] },
      """
      sources: there is no source (declare at least one)
      views.activity.source: there is no source 'clicks'
      """)
    expect(
      mistakes { $0.views = [] },
      """
      views: there is no view (declare at least one)
      """)
    expect(
      mistakes { $0.views[0].name = "a__b" },
      """
      views.a__b: the name 'a__b' has two underscores in a row (use one)
      """)
    expect(
      mistakes { $0.views[0].name = "9lives" },
      """
      views.9lives: '9lives' is not a name (use 1 to 64 letters, digits and '_', not a digit first)
      """)
    expect(
      mistakes { $0.views.append($0.views[0]) },
      """
      views.activity: there are two views named 'activity' (rename one)
      """)
    expect(
      mistakes { $0.sources.append($0.sources[0]) },
      """
      sources.clicks: there are two sources named 'clicks' (rename one)
      """)
    expect(
      mistakes { $0.sources[0].topic = "a topic" },
      """
      sources.clicks.topic: 'a topic' is no Kafka topic name (use 1 to 249 letters, digits, '.', '_' and \
      '-')
      """)
    expect(
      mistakes {
        $0.sources.append($0.sources[0])
        $0.sources[1].name = "views"
      },
      """
      sources.views.topic: 'clicks' is the topic of source 'clicks' too (declare one source, with the fields of both, \
      and use it in the views of both)
      """)
    expect(
      mistakes { $0.sources[0].topic = "shop.snapshots" },
      """
      sources.clicks.topic: 'shop.snapshots' is the topic of snapshots, which the service writes (read another topic)
      """)
    expect(
      mistakes { definitions in
        definitions.sources[0].fields.append(.init("user.id", .string, path: "\"user.id\""))
        definitions.sources[0].fields.append(.init("user_id", .string))
        for entity in ["user.id", "user_id"] {
          definitions.views.append(
            View(
              "by_\(entity.utf8.count)\(definitions.views.count)", source: "clicks", entity: [entity],
              features: [Self.count("c", [.last("1h")])]))
        }
      },
      """
      views.by_72.entity: its repartition topic would be 'shop.1.clicks.by-user_id', and Kafka takes it for another \
      view's, 'shop.1.clicks.by-user.id' (rename a field, or give one of the views another source)
      """)
    expect(
      mistakes {
        $0.sources[0].fields.append(.init(String(repeating: "é", count: 40), .string))
        $0.views[0].entity = ["user", $0.sources[0].fields.last!.name]
      },
      """
      views.activity.entity: its repartition topic would have a name of 342 characters, and Kafka takes 249 (shorten \
      the source's name, or use fewer columns)
      """)
    expect(
      mistakes { definitions in
        for (view, feature) in [("a_", "b"), ("a", "_b")] {
          definitions.views.append(
            View(view, source: "clicks", entity: ["user"], features: [Feature(feature, .derive("1"))]))
        }
      },
      """
      views.a.features: '_b' and a feature of view 'a_' would both be named 'a___b' in joined rows (rename one of \
      them)
      """)
    expect(
      mistakes { $0.sources[0].key = "usr" },
      """
      sources.clicks.key: the key 'usr' is not a declared field (did you mean 'user'?)
      """)
    expect(
      mistakes { $0.sources[0].key = "price" },
      """
      sources.clicks.key: a double can't be a key (use a string or int64 field)
      """)
    expect(
      mistakes { $0.sources[0].maxAhead = -1 },
      """
      sources.clicks.max_ahead: max_ahead is negative (use 0s or more)
      """)
    expect(
      mistakes { $0.sources[0].fields.append(.init("n", .string)) },
      """
      sources.clicks.fields.n: there are two fields named 'n' (rename one)
      """)
    expect(
      mistakes { $0.sources[0].fields.append(.init("ts", .int64)) },
      """
      sources.clicks.fields.ts: 'ts' is the event time, so it can't be declared as int64 (remove it from \
      'fields': expressions see it as a timestamp anyway)
      """)
    expect(
      mistakes { $0.sources[0].fields[2].unit = .seconds },
      """
      sources.clicks.fields.n: only timestamps have a unit (remove 'unit')
      """)
  }

  @Test func views() {
    expect(
      mistakes { $0.views[0].source = "click" },
      """
      views.activity.source: there is no source 'click' (did you mean 'clicks'?)
      """)
    expect(
      mistakes { $0.views[0].entity = [] },
      """
      views.activity.entity: the entity has no column (name at least one field)
      """)
    expect(
      mistakes { $0.views[0].entity = ["usr"] },
      """
      views.activity.entity.0: the entity column 'usr' is not a field of source 'clicks' (did you mean \
      'user'?)
      """)
    expect(
      mistakes { $0.views[0].entity = ["price"] },
      """
      views.activity.entity.0: a double can't be an entity column (use a string or int64 field)
      """)
    expect(
      mistakes { $0.views[0].entity = ["user", "user"] },
      """
      views.activity.entity.1: 'user' is named twice (remove one)
      """)
    expect(
      mistakes { $0.views[0].filter = "n + 1" },
      """
      views.activity.where: expected an expression of type bool, this one is int64 (convert it: CAST(... \
      AS bool))
      """)
    expect(
      mistakes { $0.views[0].filter = "pric > 1" },
      """
      views.activity.where: column "pric" is unknown (did you mean 'price'?)
      """)
    expect(
      mistakes { $0.views[0].features = [] },
      """
      views.activity.features: the view has no feature (declare at least one)
      """)
    expect(
      mistakes { $0.views[0].features = (0..<513).map { Self.count("n\($0)", [.lifetime]) } },
      """
      views.activity.features: the view has more than 512 features (split it into several views)
      """)
    expect(
      mistakes { $0.views[0].features.append($0.views[0].features[0]) },
      """
      views.activity.features.clicks: there are two features named 'clicks' (rename one)
      """)
    expect(
      mistakes { $0.views[0].features += [Self.count("a", [.last("1h")]), Feature("a_1h", .derive("1"))] },
      """
      views.activity.features: two features make a column named 'a_1h' (rename one of them)
      """)
    expect(
      mistakes { $0.views[0].features = [Feature("user", .derive("1"))] },
      """
      views.activity.features: the column 'user' is named like an entity column (rename the feature)
      """)
  }

  @Test func aggregates() {
    expect(
      feature(.sum),
      """
      x: sum needs 'value' (add 'value': a field or an expression)
      """)
    expect(
      feature(.sum, "user"),
      """
      x.value: sum needs a number, the value is a string (change the value, or CAST it)
      """)
    expect(
      feature(.topK, "price", k: 3),
      """
      x.value: top_k needs a string, int64, timestamp or bool, the value is a double (change the value, or \
      CAST it)
      """)
    expect(
      feature(.histogram, "b", buckets: [.int64(1)]),
      """
      x.value: histogram needs a string or a number, the value is a bool (change the value, or CAST it)
      """)
    expect(
      feature(.decayedCount, "n", halfLife: 1),
      """
      x.value: decayed_count takes no 'value': it is about events (use 'where' to choose the events)
      """)
    expect(
      feature(.auc, "price"),
      """
      x: auc needs 'label' (add 'label': a condition)
      """)
    expect(
      feature(.auc, "user", label: "b"),
      """
      x.value: auc needs a number, the value is a string (change the value, or CAST it)
      """)
    expect(feature(.brier, label: "b"), "x: brier needs 'value' (add 'value': a field or an expression)")
    expect(
      feature(.mae, "price", label: "user"),
      """
      x.label: mae needs a number, the label is a string (change the label, or CAST it)
      """)
    expect(feature(.expectedAUC, "price", label: "b"), "x.label: expected_auc takes no 'label' (remove it)")
    expectBaselines()
    expect(feature(.sum, "price", label: "n"), "x.label: sum takes no 'label' (remove it)")
    expect(
      feature(.firstK, "n"),
      """
      x: first_k needs 'k' (add 'k': a whole number from 1 to 100)
      """)
    expect(
      feature(.firstK, "n", k: 0),
      """
      x.k: 'k' is out of range (use a whole number from 1 to 100)
      """)
    expect(
      feature(.lastK, "n", k: 101),
      """
      x.k: 'k' is out of range (use a whole number from 1 to 100)
      """)
    expect(
      feature(.count, k: 2),
      """
      x.k: count takes no 'k' (remove it)
      """)
    expect(
      feature(.approxQuantile, "n", q: 1.5),
      """
      x.q: 'q' is out of range (use a number from 0 to 1, such as 0.95)
      """)
    expect(
      feature(.approxQuantile, "n", q: .nan),
      """
      x.q: 'q' is out of range (use a number from 0 to 1, such as 0.95)
      """)
    expect(
      feature(.approxQuantile, "n"),
      """
      x: approx_quantile needs 'q' (add 'q': a number from 0 to 1, such as 0.95)
      """)
    expect(
      feature(.decayedSum, "n", halfLife: 0),
      """
      x.half_life: 'half_life' is out of range (use a duration of more than 0s, such as 7d)
      """)
    expect(
      feature(.histogram, "n", buckets: []),
      """
      x.buckets: 'buckets' is out of range (use a list of 1 to 255 ascending edges or of strings)
      """)
    expect(
      feature(.histogram, "n", buckets: [.int64(2), .int64(1)]),
      """
      x.buckets: the edges do not ascend (sort them and remove doubles)
      """)
    expect(
      feature(.histogram, "n", buckets: [.double(0.5)]),
      """
      x.buckets: the buckets are not all of the value's type, int64 (write them in that type)
      """)
    expect(
      feature(.histogram, "user", buckets: [.string("a"), .string("a")]),
      """
      x.buckets: a bucket is named twice (remove one)
      """)
    expect(
      feature(.count, default: .string("none")),
      """
      x.default: the default is not of type int64 (write a value of that type, or remove it)
      """)
    expect(
      feature(.lastK, "n", k: 2, default: .int64(0)),
      """
      x.default: the default is not of type list<int64> (write a value of that type, or remove it)
      """)
    expect(
      feature(.sum, "n +", where: "n"),
      """
      x.where: expected an expression of type bool, this one is int64 (convert it: CAST(... AS bool))
      x.value: expected a value, found the end of the expression
      """)
    expect(
      feature(.sum, "prices"),
      """
      x.value: column "prices" is unknown (did you mean 'price'?)
      """)
  }

  @Test func windows() {
    expect(
      feature(.count, windows: []),
      """
      x.windows: the feature has no window (add 'windows', such as [1h, 24h, lifetime])
      """)
    expect(
      feature(.count, windows: [.last("1h"), .last("1h")]),
      """
      x.windows.1: two windows are named '1h' (remove one, or write its length in another unit)
      """)
    expect(
      feature(.count, windows: [.last("9s")]),
      """
      x.windows.0: the window is 9s long (use 10s to 400d, or lifetime)
      """)
    expect(
      feature(.count, windows: [.last("401d")]),
      """
      x.windows.0: the window is 401d long (use 10s to 400d, or lifetime)
      """)
    expect(
      feature(.count, windows: [.last("1h", hop: "2h")]),
      """
      x.windows.0: the hop is 2h, the window 1h (use a hop of more than 0s and at most the window)
      """)
    expect(
      feature(.count, windows: [.last("1h", hop: "0s")]),
      """
      x.windows.0: the hop is 0s, the window 1h (use a hop of more than 0s and at most the window)
      """)
    expect(
      feature(.count, windows: [.last("400d", hop: "10m")]),
      """
      x.windows.0: a window of 400d with a hop of 10m has 57600 tiles (use a hop of at least 1d)
      """)
    expect(
      feature(.count, windows: [.last("1h", offset: "0s")]),
      """
      x.windows.0: the window reaches back 1h from 0s ago (use an offset of more than 0s, and at most 400d together)
      """)
    expect(
      feature(.count, windows: [.last("300d", offset: "101d")]),
      """
      x.windows.0: the window reaches back 300d from 101d ago (use an offset of more than 0s, and at most 400d together)
      """)
    expect(
      feature(.count, windows: [.last("10m", offset: "30d")]),
      """
      x.windows.0: 10m and the offset have 43210 tiles of 1m (use a larger hop)
      """)
    expect(
      feature(.count, windows: [.last("5s", offset: "1h")]),
      """
      x.windows.0: the window is 5s long (use 10s to 400d, or lifetime)
      """)
    expect(
      feature(.count, windows: [.session("0s")]),
      """
      x.windows.0: the session gap is 0s (use more than 0s and at most 400d)
      """)
    expect(
      feature(.count, windows: [.session("401d")]),
      """
      x.windows.0: the session gap is 401d (use more than 0s and at most 400d)
      """)
    expect(
      feature(.count, windows: [.calendar(.today, zone: "UCT")]),
      """
      x.windows.0: there is no time zone 'UCT' (did you mean 'UTC'?)
      """)
    expect(
      feature(.count, windows: [.calendar(.today, zone: "Mars/Phobos")]),
      """
      x.windows.0: there is no time zone 'Mars/Phobos'
      """)
    expect(
      feature(.count, windows: [Window(name: "a b", span: .lifetime)]),
      """
      x.windows.0: 'a b' is not a name of a window (use 1 to 64 letters, digits and '_', such as 24h)
      """)
    expect(
      feature(.count, windows: [Window(name: "", span: .lifetime)]),
      """
      x.windows.0: '' is not a name of a window (use 1 to 64 letters, digits and '_', such as 24h)
      """)
  }

  @Test func derived() {
    expect(
      mistakes { $0.views[0].features.append(Feature("r", .derive("click_1h / 2"))) },
      """
      views.activity.features.r.derive: column "click_1h" is unknown (did you mean 'clicks_1h'?)
      """)
    expect(
      mistakes { $0.views[0].features += [Feature("r", .derive("s + 1")), Feature("s", .derive("r + 1"))] },
      """
      views.activity.features.r.derive: 'r' is derived from 's', which depends on it in turn (break the \
      cycle)
      views.activity.features.s.derive: 's' is derived from 'r', which depends on it in turn (break the \
      cycle)
      """)
    expect(
      mistakes { $0.views[0].features.append(Feature("r", .derive("r"))) },
      """
      views.activity.features.r.derive: 'r' is derived from 'r', which depends on it in turn (break the \
      cycle)
      """)
    expect(
      mistakes { $0.views[0].features.append(Feature("r", .derive("clicks_1h +"))) },
      """
      views.activity.features.r.derive: expected a value, found the end of the expression
      """)
    expect(
      mistakes { $0.views[0].features.append(Feature("r", .derive("clicks_1h"), default: .bool(true))) },
      """
      views.activity.features.r.default: the default is not of type int64 (write a value of that type, or \
      remove it)
      """)
    expect(
      mistakes { $0.views[0].features += [Self.last(2), Feature("r", .derive("l_1h"))] },
      """
      views.activity.features.r.derive: 'l_1h' is a list, and expressions take single values (use an \
      aggregate that has one value, such as last)
      """)
    expect(
      mistakes { $0.views[0].features += [Self.last(0), Feature("r", .derive("l_1h is null"))] },
      """
      views.activity.features.l.k: 'k' is out of range (use a whole number from 1 to 100)
      """)
    expect(
      mistakes { $0.views[0].features += [Feature("q", .derive("1 +")), Feature("r", .derive("q + 1"))] },
      """
      views.activity.features.q.derive: expected a value, found the end of the expression
      """)
  }

  @Test func everythingAtOnce() {
    expect(
      mistakes {
        $0.version = -1
        $0.sources[0].maxAhead = -1
        $0.views.append(View("other", source: "nope", entity: [], features: []))
      },
      """
      version: the version is -1 (use 1 or more)
      sources.clicks.max_ahead: max_ahead is negative (use 0s or more)
      views.other.source: there is no source 'nope'
      """)
    expect(
      mistakes {
        $0.views[0].entity = ["usr"]
        $0.views[0].filter = "prise > 0"
        $0.views[0].features += [Self.last(0), Feature("r", .derive("clicks_2h"))]
      },
      """
      views.activity.entity.0: the entity column 'usr' is not a field of source 'clicks' (did you mean \
      'user'?)
      views.activity.where: column "prise" is unknown (did you mean 'price'?)
      views.activity.features.l.k: 'k' is out of range (use a whole number from 1 to 100)
      views.activity.features.r.derive: column "clicks_2h" is unknown (did you mean 'clicks_1h'?)
      """)
  }
}
