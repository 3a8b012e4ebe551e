extension Expression {
  /// The same expression over other columns.
  public func renamingColumns(_ name: (String) -> String) -> Expression {
    func renamed(_ expression: Expression) -> Expression { expression.renamingColumns(name) }
    switch self {
    case .literal: return self
    case .column(let own, let at): return .column(name(own), at)
    case .unary(let operation, let operand, let at): return .unary(operation, renamed(operand), at)
    case .binary(let operation, let lhs, let rhs, let at):
      return .binary(operation, renamed(lhs), renamed(rhs), at)
    case .like(let value, let pattern, let escape, let negated, let at):
      return .like(
        renamed(value), pattern: renamed(pattern), escape: escape.map(renamed), negated: negated, at)
    case .among(let value, let list, let negated, let at):
      return .among(renamed(value), list.map(renamed), negated: negated, at)
    case .between(let value, let lower, let upper, let negated, let at):
      return .between(renamed(value), lower: renamed(lower), upper: renamed(upper), negated: negated, at)
    case .choice(let operand, let branches, let otherwise, let at):
      return .choice(
        operand: operand.map(renamed),
        branches.map { CaseBranch(when: renamed($0.condition), then: renamed($0.result)) },
        otherwise: otherwise.map(renamed), at)
    case .cast(let value, let type, let at): return .cast(renamed(value), type, at)
    case .extract(let part, let value, let at): return .extract(part, renamed(value), at)
    case .call(let function, let arguments, let at): return .call(function, arguments.map(renamed), at)
    }
  }
}
