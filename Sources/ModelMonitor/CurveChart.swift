public import FeatureCore

/// Curves over time, panel below panel, with moments marked: an SVG that any browser shows.
public struct CurveChart: Sendable {
  /// A value at a time.
  public struct Point: Sendable, Hashable {
    /// When.
    public var time: EventTime
    /// A finite number.
    public var value: Double

    /// A point from its parts.
    public init(time: EventTime, value: Double) {
      self.time = time
      self.value = value
    }
  }

  /// A curve.
  public struct Line: Sendable {
    /// What the legend says.
    public var name: String
    /// Its colour; curves of the same version have the same in every panel.
    public var colour: Int
    /// Whether it is dashed.
    public var isDashed: Bool
    /// In the order of their times.
    public var points: [Point]
  }

  /// Curves that share an axis.
  public struct Panel: Sendable {
    /// What they show.
    public var title: String
    /// The curves.
    public var lines: [Line]
    /// A value to hold them against, and what it is.
    public var level: (name: String, value: Double)?
  }

  /// A moment.
  public struct Mark: Sendable, Hashable {
    /// When.
    public var time: EventTime
    /// What was then.
    public var name: String
  }

  /// What stands above everything.
  public var title: String
  /// From top to bottom; those without a point are left out.
  public var panels: [Panel]
  /// The moments.
  public var marks: [Mark]

  private static let (left, right, top, bottom) = (70.0, 210.0, 64.0, 46.0)
  private static let (width, panelHeight, gap) = (1_080.0, 150.0, 46.0)
  /// Okabe and Ito's, which are told apart by everyone, without the yellow.
  private static let colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#555555"]

  /// How many curves have a colour of their own.
  public static var colourCount: Int { colours.count }

  /// The chart as text; with a sentence in place of the panels if no panel has a point.
  public var svg: String {
    let panels = panels.filter { $0.lines.contains { !$0.points.isEmpty } }
    let times =
      panels.flatMap { $0.lines.flatMap { $0.points.map(\.time.microseconds) } }
      + (panels.isEmpty ? [] : marks.map(\.time.microseconds))
    let height = Self.top + Self.bottom + Double(max(panels.count, 1)) * (Self.panelHeight + Self.gap)
    var svg = SVGText(width: Self.width, height: height)
    svg.text(title, x: Self.left, y: 26, size: 16, isBold: true)
    guard let first = times.min(), let last = times.max() else {
      svg.text("There is no point to draw.", x: Self.left, y: Self.top + 20, size: 13)
      return svg.end()
    }
    // A single moment still has a width.
    let span = Span(from: Double(first), until: Double(max(last, first + 1_000_000)))
    for (index, panel) in panels.enumerated() {
      draw(panel, at: Self.top + Double(index) * (Self.panelHeight + Self.gap), span, &svg)
    }
    drawMarks(span, bottom: height - Self.bottom - Self.gap + 18, &svg)
    return svg.end()
  }

  private struct Span {
    var from: Double
    var until: Double

    func place(_ value: Double, in range: ClosedRange<Double>) -> Double {
      range.lowerBound + (value - from) / (until - from) * (range.upperBound - range.lowerBound)
    }
  }

  private static var xRange: ClosedRange<Double> { left...(width - right) }

  // MARK: Panels

  private func draw(_ panel: Panel, at y: Double, _ times: Span, _ svg: inout SVGText) {
    let (low, high) = (y + 18, y + 18 + Self.panelHeight)
    var values = panel.lines.flatMap { $0.points.map(\.value) }
    if let level = panel.level { values.append(level.value) }
    let ticks = Self.ticks(values.min() ?? 0, values.max() ?? 1)
    let span = Span(from: ticks.first ?? 0, until: ticks.last ?? 1)
    func place(_ value: Double) -> Double { high - span.place(value, in: 0...(high - low)) }
    svg.text(panel.title, x: Self.left, y: y + 8, size: 13, isBold: true)
    for tick in ticks {
      svg.line(Self.xRange.lowerBound, place(tick), Self.xRange.upperBound, place(tick), colour: "#e4e4e4")
      svg.text(Self.label(tick), x: Self.left - 8, y: place(tick) + 4, size: 11, anchor: "end")
    }
    for (time, label) in Self.timeTicks(times.from, times.until) {
      let x = times.place(time, in: Self.xRange)
      svg.line(x, low, x, high, colour: "#f0f0f0")
      svg.text(label, x: x, y: high + 16, size: 11, anchor: "middle")
    }
    var legend = low + 8
    if let level = panel.level {
      let y = place(level.value)
      svg.line(Self.xRange.lowerBound, y, Self.xRange.upperBound, y, colour: "#999999", dash: "2 3")
      drawLegend("\(level.name) \(Self.label(level.value))", "#999999", "2 3", at: &legend, &svg)
    }
    for line in panel.lines where !line.points.isEmpty {
      let colour = Self.colours[line.colour % Self.colours.count]
      let points = line.points.map { point in
        (times.place(Double(point.time.microseconds), in: Self.xRange), place(point.value))
      }
      svg.curve(points, colour: colour, dash: line.isDashed ? "6 4" : nil)
      drawLegend(line.name, colour, line.isDashed ? "6 4" : nil, at: &legend, &svg)
    }
  }

  private func drawLegend(
    _ name: String, _ colour: String, _ dash: String?, at y: inout Double, _ svg: inout SVGText
  ) {
    let x = Self.width - Self.right + 14
    svg.line(x, y - 4, x + 22, y - 4, colour: colour, dash: dash, width: 2)
    svg.text(name, x: x + 28, y: y, size: 11)
    y += 16
  }

  private func drawMarks(_ times: Span, bottom: Double, _ svg: inout SVGText) {
    for (index, mark) in marks.enumerated() {
      let x = times.place(Double(mark.time.microseconds), in: Self.xRange)
      svg.line(x, Self.top - 4, x, bottom, colour: "#c00000", dash: "4 3")
      svg.text(
        mark.name, x: x, y: Self.top - 8 - Double(index % 2) * 13, size: 11, anchor: "middle",
        colour: "#c00000")
    }
  }

  // MARK: Axes

  /// Round values from below the least to above the largest, about five.
  static func ticks(_ least: Double, _ largest: Double) -> [Double] {
    let padding = largest > least ? 0 : max(least.magnitude * 0.1, 0.1)
    let (low, high) = (least - padding, largest + padding)
    let raw = (high - low) / 4
    var power = 1.0
    while power * 10 <= raw { power *= 10 }
    while power > raw { power /= 10 }
    let step = [1.0, 2, 5, 10].first { $0 * power >= raw }.map { $0 * power } ?? raw
    let first = (low / step).rounded(.down)
    let count = ((high / step).rounded(.up) - first).rounded()
    return (0...Int(min(count, 20))).map { (first + Double($0)) * step }
  }

  /// At most four digits behind the point, without zeros at the end.
  static func label(_ value: Double) -> String {
    let rounded = (value * 10_000).rounded() / 10_000
    if let whole = Int64(exactly: rounded) { return "\(whole)" }
    return "\(rounded == 0 ? value : rounded)"
  }

  private static let timeSteps: [Double] = [
    1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 31_536_000,
  ]

  /// Whole times in UTC between two, in microseconds, at most eight, and how they are written.
  static func timeTicks(_ from: Double, _ until: Double) -> [(time: Double, label: String)] {
    let step = (timeSteps.first { (until - from) / ($0 * 1e6) <= 8 } ?? (until - from) / 8e6) * 1e6
    var times: [Double] = []
    var time = (from / step).rounded(.up) * step
    while time <= until, times.count < 10 {
      times.append(time)
      time += step
    }
    return times.map { time in
      let text = RFC3339.format(EventTime(microseconds: Int64(time)))
      let (date, clock) = (text.dropFirst(5).prefix(5), text.dropFirst(11).prefix(step < 60e6 ? 8 : 5))
      return (time, step >= 86_400e6 ? String(text.prefix(10)) : "\(date) \(clock)")
    }
  }
}

/// SVG, written element by element.
struct SVGText {
  private var text: String

  init(width: Double, height: Double) {
    let (width, height) = (Self.number(width), Self.number(height))
    text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" viewBox="0 0 \(width) \(height)" \
      font-family="system-ui, sans-serif">
      <rect width="100%" height="100%" fill="#ffffff"/>

      """
  }

  mutating func text(
    _ content: String, x: Double, y: Double, size: Int, anchor: String = "start", isBold: Bool = false,
    colour: String = "#333333"
  ) {
    text +=
      "<text x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" font-size=\"\(size)\" text-anchor=\"\(anchor)\""
    text += " fill=\"\(colour)\"\(isBold ? " font-weight=\"bold\"" : "")>\(Self.escaped(content))</text>\n"
  }

  mutating func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, colour: String, dash: String? = nil,
    width: Double = 1
  ) {
    curve([(x1, y1), (x2, y2)], colour: colour, dash: dash, width: width)
  }

  /// Straight from point to point; a single one is a dot.
  mutating func curve(
    _ points: [(x: Double, y: Double)], colour: String, dash: String? = nil, width: Double = 1.8
  ) {
    if points.count == 1 {
      let (x, y) = (Self.number(points[0].x), Self.number(points[0].y))
      text += "<circle cx=\"\(x)\" cy=\"\(y)\" r=\"3\" fill=\"\(colour)\"/>\n"
      return
    }
    let path = points.map { "\(Self.number($0.x)),\(Self.number($0.y))" }.joined(separator: " ")
    text +=
      "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"\(Self.number(width))\""
    text += "\(dash.map { " stroke-dasharray=\"\($0)\"" } ?? "")/>\n"
  }

  func end() -> String { text + "</svg>\n" }

  /// A tenth of a pixel is seen by nobody.
  private static func number(_ value: Double) -> String {
    let tenths = (value * 10).rounded() / 10
    return Int(exactly: tenths).map(String.init) ?? "\(tenths)"
  }

  /// Without what XML can't hold.
  private static func escaped(_ content: String) -> String {
    var escaped = ""
    for scalar in content.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "\t", "\n", "\r": escaped += " "
      default:
        escaped.unicodeScalars.append(
          scalar.value < 0x20 || scalar.value == 0x7F || 0xFFFE...0xFFFF ~= scalar.value ? "?" : scalar)
      }
    }
    return escaped
  }
}
