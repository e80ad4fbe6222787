package org.sftnative.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class EmbeddingPlanTest {
    @Test
    void tokensOfAnIdStandTogetherInTheirOrderTheFrequentFirst() {
        EmbeddingPlan plan = EmbeddingPlan.of(new int[] {5, 0, 5, 9, 0, 5}, 10);
        assertArrayEquals(new int[] {5, 0, 9}, plan.unique());
        assertArrayEquals(new int[] {0, 3, 5, 6}, plan.starts());
        assertArrayEquals(new int[] {0, 2, 5, 1, 4, 3}, plan.order());
    }

    @Test
    void idsAboveTheBoundAreCountedAsFrequent() {
        int[] ids = new int[2 * EmbeddingPlan.OFTEN + 1];
        java.util.Arrays.fill(ids, 0, EmbeddingPlan.OFTEN, 3);
        java.util.Arrays.fill(ids, EmbeddingPlan.OFTEN, ids.length, 7);
        EmbeddingPlan plan = EmbeddingPlan.of(ids, 8);
        assertEquals(1, plan.frequent());
        assertArrayEquals(new int[] {7, 3}, plan.unique());
    }

    @Test
    void noTokensMakeNoSegments() {
        EmbeddingPlan plan = EmbeddingPlan.of(new int[0], 10);
        assertArrayEquals(new int[] {0}, plan.starts());
    }

    @Test
    void anIdOutsideTheVocabularyIsRefused() {
        assertThrows(IndexOutOfBoundsException.class, () -> EmbeddingPlan.of(new int[] {10}, 10));
        assertThrows(IndexOutOfBoundsException.class, () -> EmbeddingPlan.of(new int[] {-2}, 10));
    }
}
