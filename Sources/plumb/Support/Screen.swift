import Foundation
import LiveView

/// Where the live view goes: a terminal is redrawn in place, anything else gets a line every few seconds.
struct Screen {
  /// Seconds between two lines.
  private static let lineInterval = 5.0

  private let isTerminal = isatty(STDOUT_FILENO) == 1 && Self.environment("TERM") != "dumb"
  /// See no-color.org.
  private let isStyled = (Self.environment("NO_COLOR") ?? "").isEmpty
  private var lastLine = 0.0
  private var size: (columns: Int, rows: Int) = (0, 0)

  private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// Gives the terminal back as it was: what was on it before is there again.
  mutating func end() {
    guard isTerminal, size != (0, 0) else { return }
    StandardOutput.write("\u{1B}[?1049l\u{1B}[?25h")
    size = (0, 0)
  }

  /// Shows the view as it is. What is shown last stays.
  mutating func show(_ view: LiveView, isLast: Bool) {
    if isTerminal {
      draw(view, isLast: isLast)
    } else if isLast || view.elapsedSeconds - lastLine >= Self.lineInterval {
      lastLine = view.elapsedSeconds
      StandardOutput.print(view.summary)
    }
  }

  private mutating func draw(_ view: LiveView, isLast: Bool) {
    let now = Self.terminalSize
    // Hidden while it jumps. What another size has left behind goes away.
    // A screen of its own, so that the lines before it stay where they were.
    var frame = size == (0, 0) ? "\u{1B}[?1049h" : ""
    frame += "\u{1B}[?25l" + (now == size ? "" : "\u{1B}[2J") + "\u{1B}[H"
    size = now
    let lines = view.screen(columns: now.columns, rows: now.rows - 1, isStyled: isStyled)
    if isLast {
      end()
      return StandardOutput.write(lines.map { $0 + "\n" }.joined())
    }
    frame += lines.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J"
    StandardOutput.write(frame)
  }

  private static var terminalSize: (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return (80, 24)
    }
    return (Int(size.ws_col), Int(size.ws_row))
  }
}
