extension SourcePlan {
  /// The events of this source for which an expression is true, each under a key of its fields: a view without features, of
  /// which nothing is folded, and only its filter and its keys are asked. `name` is what failures call it.
  public func events(
    where expression: String, key: [String], name: String
  ) throws(DefinitionMistakes) -> ViewPlan {
    let view = View(name, source: source.name, entity: key, where: expression, features: [])
    var compiler = ViewCompiler(
      view, sourceIndex: 0, source: self, path: DefinitionPath().child(name), zones: zones)
    compiler.isOfFeatures = false
    if let plan = compiler.compile() { return plan }
    throw DefinitionMistakes(compiler.mistakes)
  }
}
