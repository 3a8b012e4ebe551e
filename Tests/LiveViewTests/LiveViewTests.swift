import Testing

@testable import LiveView

@Suite struct LiveViewTests {
  @Test func samplesAreRead() {
    let samples = MetricSamples(
      """
      # HELP a_total Counts.
      # TYPE a_total counter
      a_total{why="say \\"no\\", \\\\ or\\n",of="x"} 7
      a_total{why="",of="y"} 1e3
      b 0.5
      c_bucket{le="+Inf"} 4
      broken{why="open 3
      no_value
      """)
    #expect(samples.values.count == 4)
    #expect(samples.sum("a_total") == 1_007)
    #expect(samples.sum("a_total", "why", "say \"no\", \\ or\n") == 7)
    #expect(samples.sum("b") == 0.5 && samples.sum("c") == 0)
    #expect(samples.all("a_total").sorted() == [7, 1_000])
  }

  /// 10 a second of two instances each, one of which starts anew and once doesn't answer.
  @Test func ratesBridgeRestartsAndSilence() {
    var history = ServiceHistory(instances: 2)
    func answer(_ count: Int) -> MetricSamples { MetricSamples("n_total{of=\"x\"} \(count)") }
    #expect(history.rate("n_total") == nil)
    history.add([answer(100), answer(1_000)], at: 0)
    #expect(history.rate("n_total") == nil)
    history.add([answer(110), nil], at: 1)
    history.add([answer(10), answer(1_020)], at: 2)
    #expect(history.total("n_total") == 1_140)
    #expect(history.rate("n_total", window: 2) == 20)
    #expect(history.rate("n_total", window: 1) == 30)
    #expect(history.rates("n_total", count: 5, span: 1) == [10, 30])
    #expect(history.rate("other_total") == 0)
  }

  @Test func quantilesAreInterpolated() {
    var history = ServiceHistory(instances: 1)
    func answer(_ counts: [Int]) -> MetricSamples {
      MetricSamples(
        zip(["0.1", "1", "+Inf"], counts).map { "t_seconds_bucket{phase=\"log\",le=\"\($0)\"} \($1)" }
          .joined(separator: "\n"))
    }
    #expect(history.quantile(0.5, "t_seconds") == nil)
    history.add([answer([1_000, 1_000, 1_000])], at: 0)
    #expect(history.quantile(0.5, "t_seconds") == nil)
    // Since then: 10 up to 0.1, 80 up to 1, 10 beyond.
    history.add([answer([1_010, 1_090, 1_100])], at: 1)
    #expect(history.quantile(0.1, "t_seconds", "phase", "log") == 0.1)
    #expect(abs((history.quantile(0.5, "t_seconds", "phase", "log") ?? 0) - 0.55) < 1e-9)
    #expect(history.quantile(0.99, "t_seconds", "phase", "log") == 1)
    #expect(history.quantile(0.5, "t_seconds", "phase", "store") == nil)
  }

  /// Whatever the size, nothing is wider or longer than the terminal.
  @Test(arguments: [(80, 23), (120, 39), (40, 10), (20, 3), (300, 100)])
  func theScreenFits(_ columns: Int, _ rows: Int) {
    let view = Self.view(features: 40)
    let lines = view.screen(columns: columns, rows: rows).map(Self.withoutStyles)
    #expect(lines.count <= rows)
    #expect(lines.allSatisfy { $0.count <= columns }, "\(lines)")
    #expect(lines.first?.contains("plumb shop v1") == true)
  }

  /// The smallest terminal that anybody has still shows features of each entity.
  @Test(arguments: [(80, 19), (80, 23), (40, 12)])
  func everyEntityShowsFeatures(_ columns: Int, _ rows: Int) {
    var view = Self.view(features: 40)
    let values = (0..<40).map { (name: "feature_\($0)", value: Optional("\($0)")) }
    view.entities = (0..<3).map { LiveView.Entity(title: "user u\($0)", ageSeconds: 1, features: values) }
    view.problem = nil
    let lines = view.screen(columns: columns, rows: rows, isStyled: false)
    #expect(lines.count <= rows)
    #expect(lines.contains { $0.contains("records read") } && lines.contains { $0.hasPrefix("lag") })
    for user in 0..<3 {
      let title = lines.firstIndex { $0.hasPrefix("user u\(user)") }
      #expect(title.map { lines[$0 + 1].contains("feature_") } == true, "\(lines)")
    }
  }

  @Test func withoutStylesThereIsNoEscape() {
    #expect(
      !Self.view(features: 3).screen(columns: 80, rows: 30, isStyled: false).joined().contains("\u{1B}"))
    #expect(Self.view(features: 3).screen(columns: 80, rows: 30).joined().contains("\u{1B}[1m"))
  }

  /// 2,000 events a second, of which most are forwarded to a view of another key, are more records than events.
  @Test func forwardedRecordsAreTold() {
    var view = Self.view(features: 1)
    view.history = ServiceHistory(instances: 2)
    for second in 0...5 {
      let answer = MetricSamples(
        "plumb_records_consumed_total \(5_664 * second)\nplumb_records_forwarded_total \(3_664 * second)")
      view.history.add([answer, nil], at: Double(second))
    }
    #expect(view.summary.contains("5,664 records/s (3,664 of them forwarded)"))
    let lines = view.screen(columns: 80, rows: 40, isStyled: false)
    #expect(lines.contains { $0.hasPrefix("of them forwarded") && $0.contains("3,664") }, "\(lines)")
  }

  @Test func theScreenShowsWhatThereIs() {
    let text = Self.view(features: 40).screen(columns: 80, rows: 40).map(Self.withoutStyles).joined(
      separator: "\n")
    #expect(text.contains("1 of 2 ready"))
    #expect(text.contains("b:1 does not answer"))
    #expect(text.contains("12,345"))
    #expect(text.contains("user user_id=u1") && text.contains("feature_7 7") && text.contains("nothing yet"))
    // What is in data must not steer the terminal.
    #expect(!text.contains("\u{1B}") && text.contains("?[2J"))
  }

  @Test func theSummaryIsOneLine() {
    let line = Self.view(features: 3).summary
    #expect(!line.contains("\n"))
    #expect(line.contains("1 of 2 ready") && line.contains("12,345 read") && line.contains("feature_2 2"))
  }

  @Test func lengthsOfTime() {
    #expect([0, 0.000_4, 0.012, 3.21, 300].map(shortTime) == ["0 s", "0.4 ms", "12 ms", "3.2 s", "5 min"])
    #expect([0, 999, 1_000, -1_234_567].map(grouped) == ["0", "999", "1,000", "-1,234,567"])
    #expect(cut("abcdef", 4) == "abc…" && cut("abcd", 4) == "abcd")
  }

  private static func view(features: Int) -> LiveView {
    var view = LiveView(title: "shop v1", instances: ["a:1", "b:1"])
    let answer = MetricSamples(
      "plumb_records_consumed_total 12345\nplumb_ready 1\nplumb_lag_records{topic=\"t\"} 3")
    view.history.add([answer, nil], at: 0)
    view.history.add([answer, nil], at: 1)
    var values: [(name: String, value: String?)] = (0..<features).map { ("feature_\($0)", "\($0)") }
    values.append(("text", "\u{1B}[2J"))
    view.entities = [
      LiveView.Entity(title: "user user_id=u1", ageSeconds: 0.3, features: values),
      LiveView.Entity(title: "user user_id=u2", ageSeconds: nil, features: values),
    ]
    return view
  }

  private static func withoutStyles(_ line: String) -> String {
    line.replacing(/\u{1B}\[[0-9;]*m/, with: "")
  }
}
