package org.sftnative.tune;

import java.util.List;
import java.util.Map;
import org.sftnative.InputException;

/// Tries every combination once: of the values of each `choice` and `grid_search`. The number of samples does not
/// count.
public final class GridSearcher implements Searcher {
    private final SearchSpace space;
    private final List<Map<String, Object>> cells;

    /// @throws InputException if a setting has a range, which no grid can try whole
    public GridSearcher(SearchSpace space) {
        for (Parameter parameter : space.parameters()) {
            switch (parameter.domain()) {
                case Domain.Constant _, Domain.Choice _ -> {}
                case Domain.Real _, Domain.Whole _, Domain.Normal _ ->
                    throw new InputException("a grid cannot try the range of '" + parameter.setting() + "' ("
                            + parameter.origin() + ")\n  write grid_search([...]), or search at random");
            }
        }
        this.space = space;
        this.cells = space.cells(parameter -> parameter.domain() instanceof Domain.Choice);
    }

    @Override
    public int trials(int numSamples) {
        return cells.size();
    }

    @Override
    public Map<String, Object> suggest(int trial, List<Trial> history) {
        Map<String, Object> cell = cells.get(trial);
        return space.assign(parameter ->
                parameter.domain() instanceof Domain.Constant(Object value) ? value : cell.get(parameter.setting()));
    }
}
