package org.sftnative.train;

import org.bytedeco.pytorch.Device;
import org.sftnative.data.Dataset;
import org.sftnative.data.Document;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.ParameterLayout;
import org.sftnative.tensor.Card;
import org.sftnative.tensor.DataSheet;
import org.sftnative.tensor.Devices;

/// Floating-point operations of training, for model FLOPs utilisation (MFU; arXiv 2204.02311, appendix B): those that
/// the model's mathematics needs, recomputation not counted.
final class ModelFlops {
    private ModelFlops() {}

    /// 2 for each weight of a matrix product forward, and twice that backward, half of it where weights are frozen;
    /// attention has 4 C operations for each pair of positions and layer, of which half are before the token.
    ///
    /// @param frozen whether adapters alone are trained: a frozen weight has no gradient of its own
    /// @param rows whose lengths attention depends on
    static double perToken(LlamaConfig c, boolean frozen, Dataset rows) {
        double embedding = (double) c.vocabSize() * c.hiddenSize();
        double products = ParameterLayout.of(c).parameterCount() - (c.tieWordEmbeddings() ? 0 : embedding);
        double tokens = 0;
        double squares = 0;
        for (Document document : rows.documents()) {
            tokens += document.length();
            squares += (double) document.length() * document.length();
        }
        double attention = 6.0 * c.nLayer() * c.nHead() * c.headDim() * (tokens > 0 ? squares / tokens : 0);
        return (frozen ? 4 : 6) * products + attention;
    }

    /// Operations a second of a card's data sheet, bf16; 0 if unknown, as of CPUs.
    static double peak(Device device) {
        return Devices.isCuda(device)
                ? DataSheet.of(Card.of(device).name())
                        .map(sheet -> sheet.teraflops() * 1e12)
                        .orElse(0.0)
                : 0;
    }
}
