/// Where in a JSON record a value stands: names of objects' members and positions in arrays, such as `user.id` or
/// `items[0].sku`. A name with other characters than a path's own is written as it is; `"a.b"` is one name.
public struct FieldPath: Hashable, Sendable, CustomStringConvertible {
  /// One step into a value.
  public enum Step: Hashable, Sendable {
    /// Into an object's member.
    case member(String)
    /// Into an array's element, from 0.
    case element(Int)
  }

  /// The steps from the record, at least one.
  public let steps: [Step]

  /// The member of the record that has a name, whatever that is.
  public init(member name: String) { steps = [.member(name)] }

  private init(steps: [Step]) { self.steps = steps }

  /// A path as it is written; nil if it is none.
  public init?(_ text: String) {
    var rest = Substring(text)
    var steps: [Step] = []
    while !rest.isEmpty || steps.isEmpty {
      if rest.first == "[", !steps.isEmpty {
        let digits = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(1 + digits.count)
        guard rest.first == "]", digits.count <= 6, let index = Int(digits) else { return nil }
        rest = rest.dropFirst()
        steps.append(.element(index))
        continue
      }
      if !steps.isEmpty {
        guard rest.first == "." else { return nil }
        rest = rest.dropFirst()
      }
      let name: Substring
      if rest.first == "\"" {
        name = rest.dropFirst().prefix { $0 != "\"" }
        rest = rest.dropFirst(1 + name.count)
        guard rest.first == "\"" else { return nil }
        rest = rest.dropFirst()
      } else {
        name = rest.prefix { $0 != "." && $0 != "[" && $0 != "]" && $0 != "\"" }
        guard !name.isEmpty else { return nil }
        rest = rest.dropFirst(name.count)
      }
      steps.append(.member(String(name)))
    }
    self.steps = steps
  }

  /// The path from the end of another one, if it goes through that; empty for the same path.
  func steps(after prefix: FieldPath) -> ArraySlice<Step>? {
    steps.starts(with: prefix.steps) ? steps.dropFirst(prefix.steps.count) : nil
  }

  /// As it is written.
  public var description: String {
    var text = ""
    for step in steps {
      switch step {
      case .element(let index): text += "[\(index)]"
      case .member(let name):
        let isPlain = !name.isEmpty && !name.contains { ".[]\"".contains($0) }
        text += (text.isEmpty ? "" : ".") + (isPlain ? name : "\"\(name)\"")
      }
    }
    return text
  }
}
